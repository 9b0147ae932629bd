"""Lip reading: film -> text, spelt over time by CTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ..design.lips import NETWORKS, LipNetworkSection, LipShape, LipSpeller
from ..kinds.lips import PADDING, LipsKind
from ..kinds.transcript import TranscriptKind, TranscriptOptions, words_column
from ..recipe import Recipe, Section
from ..table import Column, Table
from ..task import Task

__all__ = ["LipReading"]

SEEN_HOURS = 10  # of film that a training sees in all, epochs within 15 to 200
TYPICAL_SECONDS = 2.0  # of a film, before any is read


class LipReading(Task):
    """Outputs `logits` (B, steps, tokens) and `frames` (B,), how many of the steps are a row's own."""

    name = "lip-reading"
    given: ClassVar[Mapping[str, str]] = {"video": "lips"}
    answer = ("text", "transcript")
    sections: ClassVar[tuple[type[Section], ...]] = (LipNetworkSection,)
    options_type: ClassVar[type[Section] | None] = TranscriptOptions
    sample = "talking"
    quick: ClassVar[Mapping[str, Any]] = {
        **{"train.epochs": 8, "train.batch_size": 8, "model.dropout": 0.0, "train.ema": 0.0, "augment.shift": 0.0},
        **{"network.channels": 8, "network.width": 64, "network.layers": 1, "optim.lr": 0.006, "data.test": 0.1},
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        name = asked.get("model.name", "auto")
        seen = int(SEEN_HOURS * 3600 / TYPICAL_SECONDS)
        return {
            "model.name": "crnn" if name == "auto" else name,
            "model.dropout": 0.2,
            "text.tokens": "char",
            "train.batch_size": 16,
            "train.epochs": max(15, min(200, seen // len(table))),
            "train.clip": 1.0,
            "train.ema": 0.99,
            "optim.lr": 0.003,
            "schedule.name": "onecycle",
            "augment.shift": 0.05,
        }

    @classmethod
    def pick_columns(cls, table: Table, recipe: Recipe) -> dict[str, Column]:
        return super().pick_columns(table, recipe.replace({"data.answer": words_column(table, recipe)}))

    def model(self) -> nn.Module:
        kind, recipe = self.kinds["video"], self.recipe
        assert isinstance(kind, LipsKind)
        shape = LipShape(*kind.size, PADDING, recipe.model.dropout)
        return LipSpeller(recipe.model.name, shape, recipe[LipNetworkSection], self.answer_kind.num_outputs)

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A transcript that does not fit into its film is refused: no alignment could spell it."""
        inputs, targets = super().encode(given, answer)
        assert isinstance(self.answer_kind, TranscriptKind)
        steps = len(inputs["video"]) * self.recipe[LipNetworkSection].per_frame
        self.answer_kind.check_fits(targets["text"], steps)
        return inputs, targets

    def present(self, answer: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """When words are said, in seconds of that very film."""
        assert isinstance(self.answer_kind, TranscriptKind)
        return self.answer_kind.in_seconds(answer, given["video"].seconds)
