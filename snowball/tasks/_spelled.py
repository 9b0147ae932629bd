"""What tasks share that spell words over time by CTC, whatever they hear or see of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from ..kinds.transcript import TranscriptKind, TranscriptOptions, words_column
from ..recipe import Recipe, Section
from ..table import Column, Table
from ..task import Task
from ._over_time import TRAINED

__all__ = ["Spelled"]


class Spelled(Task):
    """Outputs `logits` (B, steps, tokens) and `frames` (B,), how many of the steps are a row's own."""

    answer = ("text", "transcript")
    options_type: ClassVar[type[Section] | None] = TranscriptOptions
    hours: ClassVar[float] = 10
    """Of recordings that a training hears or sees in all, epochs within 15 to 200."""
    typical_seconds: ClassVar[float] = 2.0
    """Of a recording, before any is read."""

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        seen = int(cls.hours * 3600 / cls.typical_seconds)
        return {
            **TRAINED,
            "model.name": cls.network_name(asked, "crnn"),
            "text.tokens": "char",
            "train.batch_size": 16,
            "train.epochs": max(15, min(200, seen // len(table))),
        }

    @classmethod
    def pick_columns(cls, table: Table, recipe: Recipe) -> dict[str, Column]:
        return super().pick_columns(table, recipe.replace({"data.answer": words_column(table, recipe)}))

    @property
    def transcript(self) -> TranscriptKind:
        assert isinstance(self.answer_kind, TranscriptKind)
        return self.answer_kind

    def present(self, answer: dict[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """When words are said, in seconds of that very recording."""
        held = (value.seconds for value in given.values() if value is not None)
        return self.transcript.in_seconds(answer, max(held))
