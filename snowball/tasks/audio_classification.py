"""Sound classification, such as spoken commands: audio -> label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ..design.audio import NETWORKS, SoundClassifier, SoundNetworkSection
from ..recipe import Section
from ..table import Table
from ..task import Task
from ._over_time import HEARD, TRAINED, sound_shape

__all__ = ["AudioClassification"]

HEARD_ROWS = 60_000  # recordings that a training hears in all, epochs within 10 to 60


class AudioClassification(Task):
    """A network from samples to one logit a class: outputs `logits` (B, classes)."""

    name = "audio-classification"
    given: ClassVar[Mapping[str, str]] = {"audio": "audio"}
    answer = ("label", "label")
    sections: ClassVar[tuple[type[Section], ...]] = (SoundNetworkSection,)
    sample = "tones"
    quick: ClassVar[Mapping[str, Any]] = {
        **{"train.epochs": 3, "train.batch_size": 16, "model.dropout": 0.0},
        **{"network.channels": 8, "network.width": 16, "network.layers": 1, "optim.lr": 0.01},
        **{"audio.mels": 24, "audio.hop_ms": 20.0},
    }

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **TRAINED,
            **HEARD,
            "model.name": cls.network_name(asked, "crnn"),
            "label.smoothing": 0.1,
            "network.stride": 2,
            "train.batch_size": 32,
            "train.epochs": max(10, min(60, HEARD_ROWS // len(table))),
        }

    def model(self) -> nn.Module:
        return SoundClassifier(self.recipe.model.name, sound_shape(self), self.recipe[SoundNetworkSection])
