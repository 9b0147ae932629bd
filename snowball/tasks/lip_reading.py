"""Lip reading: film -> text, spelt over time by CTC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor, nn

from ..design.lips import NETWORKS, LipNetworkSection, LipShape, LipSpeller
from ..kinds.lips import PADDING, LipsKind
from ..recipe import Section
from ..table import Table
from ._spelled import Spelled

__all__ = ["LipReading"]


class LipReading(Spelled):
    """Outputs `logits` (B, steps, tokens) and `frames` (B,), how many of the steps are a row's own."""

    name = "lip-reading"
    given: ClassVar[Mapping[str, str]] = {"video": "lips"}
    sections: ClassVar[tuple[type[Section], ...]] = (LipNetworkSection,)
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
        return {**super().defaults(table, asked), "augment.shift": 0.05}

    def model(self) -> nn.Module:
        kind, recipe = self.kinds["video"], self.recipe
        assert isinstance(kind, LipsKind)
        shape = LipShape(*kind.size, PADDING, recipe.model.dropout)
        return LipSpeller(recipe.model.name, shape, recipe[LipNetworkSection], self.answer_kind.num_outputs)

    def encode(self, given: Mapping[str, Any], answer: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """A transcript that does not fit into its film is refused: no alignment could spell it."""
        inputs, targets = super().encode(given, answer)
        steps = len(inputs["video"]) * self.recipe[LipNetworkSection].per_frame
        self.transcript.check_fits(targets["text"], steps)
        return inputs, targets
