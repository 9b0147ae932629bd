"""Language modelling: text alone. What follows what, and how surprising a text is."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn

from ..design.decoding import sample
from ..design.hf import FINE_TUNING, PREFIX, HFLanguageModel, begin_pretrained, keep_config
from ..design.text import NetworkSection, RecurrentLanguageModel, TransformerLanguageModel
from ..finding import BadInput, Finding
from ..kind import Batch, Block, Metric, Unreadable
from ..kinds.text import PAD, TextKind
from ..recipe import Recipe, Section
from ..rng import mix
from ..schema import Schema
from ..table import Column, Table
from ..task import Task

__all__ = ["LanguageModelling", "LanguageSection"]

NETWORKS = {
    "gpt": "A Transformer decoder (GPT-2's architecture).",
    "rnn": "Elman's recurrent network.",
    "lstm": "LSTM layers.",
    "gru": "GRU layers.",
}
PIECE = 2048  # characters of a row: enough for a bootstrap over rows to be honest, few enough to have many
FEW_DOCUMENTS = (
    20  # with fewer, each is cut into a training, a validation and a test part; else whole ones are shared out
)


class LanguageSection(Section):
    """What a language model reads at once."""

    key = "language"

    context: int = Field(128, ge=2, le=65_536)
    """Tokens of a training window, and the most that a Transformer looks back on."""


class LanguageOptions(Section):
    """How a text is continued."""

    key = "predict"

    tokens: int = Field(200, ge=0, le=100_000)
    """Tokens to write."""
    temperature: float = Field(0.8, ge=0, le=10)
    """Below 1 prefers what is likely; 0 always takes the likeliest."""
    top_k: int = Field(0, ge=0)
    """Draw among this many of the likeliest tokens. 0: all."""
    top_p: float = Field(1.0, gt=0, le=1)
    """Draw among the likeliest tokens that together have this probability (Holtzman et al., 2020)."""
    seed: int = Field(0, ge=0, lt=2**62)
    """The same seed gives the same text."""


class LanguageModelling(Task):
    """Outputs `logits` (B, T, V): the token that follows each of `text` (B, T)."""

    name = "language-modelling"
    given: ClassVar[Mapping[str, str]] = {"text": "text"}
    answer = ("text", "text")
    sections: ClassVar[tuple[type[Section], ...]] = (NetworkSection, LanguageSection)
    causal: ClassVar[str | None] = "text"
    options_type: ClassVar[type[Section] | None] = LanguageOptions
    parts: ClassVar[tuple[str, ...]] = ("step",)
    streams: ClassVar[bool] = True
    sample = "pydoc"
    quick: ClassVar[Mapping[str, Any]] = {
        "train.epochs": 1,
        "train.batch_size": 64,
        "network.layers": 1,
        "network.width": 32,
        "network.heads": 2,
        "network.hidden": 64,
        "language.context": 32,
        "optim.lr": 0.01,
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return {**NETWORKS, "hf:NAME": "any causal language model of Hugging Face's transformers, by name or folder"}

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        name = cls.network_name(asked, "gpt")
        data = {"model.name": name, "text.max_tokens": 1_000_000, "data.val": 0.05, "data.test": 0.05}
        if name.startswith(PREFIX):
            return {**data, **FINE_TUNING, "train.batch_size": 8}
        width = 128 if name == "gpt" else 256
        return {
            **data,
            "text.tokens": "char",
            "network.layers": 4 if name == "gpt" else 2,
            "network.width": width,
            "network.heads": 4,
            "network.hidden": 4 * width,
            "optim.lr": 0.002,
            "optim.betas": (0.9, 0.99),
            "optim.weight_decay": 0.1,
            "schedule.name": "cosine",
            "schedule.warmup": 0.05,
            "schedule.floor": 0.1,
            "train.batch_size": 16,
            "train.clip": 1.0,
            "train.epochs": 3,
        }

    @classmethod
    def arrange(cls, table: Table, recipe: Recipe) -> Table:
        """Documents cut into rows of PIECE characters, each of which begins with the last character of the one before.

        The source's own split stays. Else many documents are shared out whole, and few are cut in three.
        """
        (column,) = cls.pick_columns(table, recipe).values()
        context = recipe[LanguageSection].context
        size = max(1, PIECE // context) * context
        documents = [_pieces(cell, size) for cell in column.cells]
        texts = [piece for pieces in documents for piece in pieces]
        splits = _document_splits([len(pieces) for pieces in documents], table.split, recipe)
        places = [(number, at * size) for number, pieces in enumerate(documents) for at in range(len(pieces))]

        def where(row: int) -> str:
            document, at = places[row]
            return f"{table.where(document)}, characters {at:,} to {at + len(str(texts[row])):,}"

        return Table(table.name, {column.name: Column(column.name, "text", texts)}, splits, where, table.defaults)

    @classmethod
    def fit(cls, table: Table, recipe: Recipe, train_rows: Sequence[int]) -> Schema:
        context = recipe[LanguageSection].context
        schema = super().fit(table, recipe, train_rows)
        return keep_config(schema, "text", recipe.model.name, "language.context", context)

    def begin(self, model: nn.Module) -> list[Finding]:
        return begin_pretrained(model, self.recipe.model.name)

    @property
    def window(self) -> int:
        return self.recipe[LanguageSection].context

    @property
    def _text(self) -> TextKind:
        assert isinstance(self.answer_kind, TextKind)
        return self.answer_kind

    def model(self) -> nn.Module:
        asked, size = self.recipe.model, self.recipe[NetworkSection]
        if asked.name.startswith(PREFIX):
            return HFLanguageModel(self._text.state["config"], self._text.offset)
        assert size.layers and size.width and size.heads and size.hidden  # `defaults` filled them in
        vocab = self._text.num_outputs
        if asked.name == "gpt":
            context = self.recipe[LanguageSection].context
            return TransformerLanguageModel(
                vocab, context, size.layers, size.width, size.heads, size.hidden, asked.dropout
            )
        return RecurrentLanguageModel(asked.name, vocab, size.layers, size.width, asked.dropout)

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """What is given is the answer, encoded once."""
        encoded = self.encode_given(given)
        return encoded, encoded

    def explained(self, given: Mapping[str, Any]) -> dict[str, Tensor]:
        """The end of a text, as long as a training window."""
        return {"text": self.encode_given(given)["text"][-self.window - 1 :]}

    def own_targets(self, inputs: Mapping[str, Tensor], outputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The text itself: what is explained is how surprising it is."""
        return {self.answer_role: inputs["text"]}

    def forward(self, model: nn.Module, batch: Batch) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = model(text=batch.inputs["text"][:, :-1])
        return outputs

    def predict(self, model: Any, inputs: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """How surprising each text is: negative log likelihood `nll` (B,), of how many `tokens` and `bytes` (B,)."""
        text, size = inputs["text"], self.recipe[LanguageSection].context
        totals = torch.zeros(3, len(text), dtype=torch.float64, device=text.device)
        empty = self._network.empty_cache(text)
        sizes = self._text.bytes_of_tokens.to(text.device)
        for at in range(0, max(1, text.shape[1] - 1), size):
            window = text[:, at : at + size + 1]
            if window.shape[1] < 2:
                break
            logits = model.step(tokens=window[:, :-1], cache=empty)["logits"]
            surprise, wanted = self._text.surprise(logits, window)
            parts = (surprise, wanted != PAD, sizes[wanted])
            totals += torch.stack([part.double().sum(1) for part in parts])
        return dict(zip(("nll", "tokens", "bytes"), totals, strict=True))

    @cached_property
    def _network(self) -> Any:
        """The network without weights: it knows the shape of a cache, which an exported part does not."""
        with torch.device("meta"):
            return self.model()

    @property
    def _network_forgets(self) -> bool:
        """Whether the network sees no more than its context; a recurrent one carries all it read along."""
        return self.recipe.model.name == "gpt" or self.recipe.model.name.startswith(PREFIX)

    def stream(self, model: Any, given: Mapping[str, Any]) -> Iterator[str]:
        """A continuation, piece by piece: whole characters only, however many tokens they take."""
        options = self.options
        assert isinstance(options, LanguageOptions)
        prompt = self.encode_given(given)["text"]
        context = self.recipe[LanguageSection].context if self._network_forgets else None
        tokens = sample(
            model,
            prompt,
            self._network.empty_cache(prompt[None]),
            context=context,
            num=options.tokens,
            temperature=options.temperature,
            top_k=options.top_k,
            top_p=options.top_p,
            seed=options.seed,
        )
        written: list[int] = prompt[-1:].tolist()  # decoders of words look at what is before
        shown = len(self._text.text(written))
        for token in tokens:
            written.append(token)
            text = self._text.text(written)
            if not text.endswith("\ufffd"):
                yield text[shown:]
                written = written[-1:]
                shown = len(self._text.text(written))

    def notes(self, given: Mapping[str, Any]) -> list[str]:
        context = self.recipe[LanguageSection].context
        length = len(self.encode_given(given)["text"])
        own = [f"the text has {length:,} tokens, of which a continuation sees the last {context:,}"]
        return super().notes(given) + (own if self._network_forgets and length > context else [])

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        answers = []
        for nll, tokens, size in zip(outputs["nll"], outputs["tokens"], outputs["bytes"], strict=True):
            answers.append(
                {
                    "perplexity": math.exp(min(float(nll) / max(1.0, float(tokens)), 700.0)),
                    "nll": float(nll),
                    "tokens": int(tokens),
                    "bytes": int(size),
                }
            )
        return answers

    @property
    def headline(self) -> Metric:
        return self.metric

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        nll, tokens, size = (sum(prediction[key] for prediction in predictions) for key in ("nll", "tokens", "bytes"))
        return {
            "perplexity": math.exp(min(nll / max(1, tokens), 700.0)),
            "bits_per_byte": nll / math.log(2) / max(1, size),
        }

    def intervals(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, Any]:
        return {}

    def baseline(self) -> dict[str, Any]:
        """Every token as likely as it is frequent among the training rows."""
        return {key: self._text.state["unigram"][key] for key in ("nll", "tokens", "bytes")}

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        return float(prediction["nll"] / max(1, prediction["tokens"]))

    def caption(self, prediction: Mapping[str, Any]) -> str:
        return f"perplexity {prediction['perplexity']:.2f}"

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        order = sorted(range(len(predictions)), key=lambda i: self.fault(predictions[i], answers[i]))
        rows = [[answers[i][:300], round(predictions[i]["perplexity"], 3)] for i in order[:3]]
        columns = ["text", "perplexity"]
        return [Block("Least surprising", "table", {"columns": columns, "rows": rows})]


def _pieces(cell: Any, size: int) -> list[Any]:
    """A document in rows. One that cannot be read stays a row, so that it is set aside and named like any other."""
    try:
        text = TextKind.read(cell)
    except Unreadable:
        return [cell]
    return [text[at : at + size + 1] for at in range(0, max(1, len(text) - 1), size)]


def _document_splits(sizes: Sequence[int], given: Sequence[str], recipe: Recipe) -> list[str]:
    """The split of every piece; `sizes` are the pieces of each document, `given` the split its source states."""
    val, test = recipe.data.val, recipe.data.test
    if val + test >= 1:
        raise BadInput(f"data.val={val:g} and data.test={test:g} leave nothing to train on: together below 1, please")
    free = [number for number, split in enumerate(given) if not split]
    whole: dict[int, str] = dict.fromkeys(range(len(sizes)), "")
    if len(free) >= FEW_DOCUMENTS:
        order = sorted(free, key=lambda number: mix(recipe.train.seed, number, 4))
        total, seen = sum(sizes[number] for number in free), 0
        for number in order:
            whole[number] = "test" if seen < test * total else "val" if seen < (val + test) * total else "train"
            seen += sizes[number]
    splits: list[str] = []
    for number, size in enumerate(sizes):
        if given[number] or whole[number]:
            splits += [given[number] or whole[number]] * size
            continue
        held = [max(1, round(share * size)) if size >= 3 else 0 for share in (val, test)]
        splits += ["train"] * (size - sum(held)) + ["val"] * held[0] + ["test"] * held[1]
    return splits
