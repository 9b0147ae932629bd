"""Translation: text -> text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn

from ..design.decoding import beam_search
from ..design.text import NetworkSection, RecurrentTranslator, TransformerTranslator
from ..finding import BadInput
from ..kind import Batch
from ..kinds.text import BEGIN, END, PAD, TextKind
from ..recipe import Recipe, Section
from ..table import Column, Table
from ..task import Task

__all__ = ["Translation"]

NETWORKS = {
    "transformer": "An encoder-decoder Transformer.",
    "gru": "A two-way GRU encoder and a GRU decoder with attention.",
    "lstm": "The same of LSTM cells.",
}


class TranslationOptions(Section):
    """How an answer is searched for."""

    key = "predict"

    beams: int = Field(5, ge=1, le=64)
    """Hypotheses that are kept at every token. 1: greedy."""
    length_penalty: float = Field(1.0, ge=0, le=5)
    """Hypotheses are ranked by log probability over their length to this power: more prefers longer answers."""
    max_tokens: int | None = Field(None, ge=1, le=1000)
    """The longest answer. Default: one and a half of the training rows' longest. Never more than twice the
    source and ten."""


class Translation(Task):
    """Outputs `logits` (B, T, V): the next token of the target for each that is there, given the source."""

    name = "translation"
    given: ClassVar[Mapping[str, str]] = {"source": "text"}
    answer = ("target", "text")
    sections: ClassVar[tuple[type[Section], ...]] = (NetworkSection,)
    aliases: ClassVar[Mapping[str, str]] = {"source": "data.given", "target": "data.answer"}
    causal: ClassVar[str | None] = "target"
    options_type: ClassVar[type[Section] | None] = TranslationOptions
    parts: ClassVar[tuple[str, ...]] = ("encode", "step")
    sample = "numbers"
    quick: ClassVar[Mapping[str, Any]] = {
        "train.epochs": 3,
        "train.batch_size": 32,
        "train.ema": 0.9,
        "model.dropout": 0.1,
        "network.layers": 1,
        "network.width": 64,
        "network.heads": 2,
        "network.hidden": 64,
        "text.vocab": 400,
        "optim.lr": 0.005,
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        name = cls.network_name(asked, "transformer")
        recurrent = name in ("gru", "lstm")
        return {
            "model.name": name,
            "model.dropout": 0.3,
            "text.tokens": "bpe",
            "text.vocab": 5000,
            "text.smoothing": 0.1,
            "text.max_tokens": 128,
            # Small and well regularised: larger networks learn 30,000 sentences by heart (Wu et al., 2021).
            "network.layers": 1 if recurrent else 4,
            "network.width": 256 if recurrent else 128,
            "network.heads": 4,
            "network.hidden": 256,
            "optim.lr": 0.002 if recurrent else 0.003,
            "optim.betas": (0.9, 0.98),
            "schedule.name": "cosine",
            "schedule.warmup": 0.1,
            "train.clip": 1.0,
            "train.ema": 0.998,
            "train.batch_size": 128 if len(table) > 10_000 else 32,
            "train.epochs": 20,
        }

    @classmethod
    def pick_columns(cls, table: Table, recipe: Recipe) -> dict[str, Column]:
        texts = [column.name for column in table.columns.values() if column.kind == "text"]
        if len(texts) > 2 and not (recipe.data.given and recipe.data.answer):
            shown = f"source={texts[0]} target={texts[1]}"
            raise BadInput(f"{table.name}: columns {', '.join(texts)}: say from which to which, e.g. {shown}")
        return super().pick_columns(table, recipe)

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """The target is framed by its begin and its end."""
        tokens = self._text("target").encode_cut(answer)
        framed = torch.cat([torch.tensor([BEGIN]), tokens, torch.tensor([END])])
        return self.encode_given(given), {"target": framed}

    def encode_given(self, given: Mapping[str, Any]) -> dict[str, Tensor]:
        return {"source": self._text("source").encode_cut(given["source"])}

    def _text(self, role: str) -> TextKind:
        kind = self.kinds[role]
        assert isinstance(kind, TextKind)
        return kind

    @property
    def _longest(self) -> int:
        """The longest answer that is searched for."""
        return int(1.5 * self._text("target").state["max_tokens"]) + 8

    def model(self) -> nn.Module:
        asked, size = self.recipe.model, self.recipe[NetworkSection]
        assert size.layers and size.width and size.heads and size.hidden  # `defaults` filled them in
        vocabs = (self._text("source").num_outputs, self._text("target").num_outputs)
        if asked.name == "transformer":
            longest = max(self._longest, self._text("source").state["max_tokens"], 1000) + 2
            return TransformerTranslator(
                *vocabs, longest, size.layers, size.width, size.heads, size.hidden, asked.dropout
            )
        return RecurrentTranslator(asked.name, *vocabs, size.layers, size.width, asked.dropout)

    def forward(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = model(source=batch.inputs["source"], target=batch.targets["target"][:, :-1])
        return outputs

    def predict(self, model: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        options = self.options
        assert isinstance(options, TranslationOptions)
        lengths = (inputs["source"] != PAD).sum(1)
        limits = (2 * lengths + 10).clamp(max=options.max_tokens or self._longest)
        tokens = beam_search(
            model,
            inputs["source"],
            begin=BEGIN,
            end=END,
            beams=options.beams,
            limits=limits,
            length_penalty=options.length_penalty,
        )
        return {"tokens": tokens}
