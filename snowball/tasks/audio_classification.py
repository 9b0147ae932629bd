"""Sound classification, such as spoken commands: audio -> label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ..design.audio import NETWORKS, SoundClassifier, SoundNetworkSection, SoundShape
from ..kinds.audio import PADDING, AudioKind, AudioSection
from ..recipe import Section
from ..table import Table
from ..task import Task

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
        name = asked.get("model.name", "auto")
        return {
            "model.name": "crnn" if name == "auto" else name,
            "model.dropout": 0.2,
            "label.smoothing": 0.1,
            "network.stride": 2,
            "train.batch_size": 32,
            "train.epochs": max(10, min(60, HEARD_ROWS // len(table))),
            "train.clip": 1.0,
            "train.ema": 0.99,
            "optim.lr": 0.003,
            "schedule.name": "onecycle",
            "augment.speed": 0.1,
            "augment.gain": 6.0,
            "augment.snr": 15.0,
            "augment.masked_bands": 2,
            "augment.masked_spans": 2,
        }

    def model(self) -> nn.Module:
        recipe, kind = self.recipe, self.kinds["audio"]
        assert isinstance(kind, AudioKind)
        asked = recipe[AudioSection]
        shape = SoundShape(
            *(kind.rate, asked.mels, asked.window_ms, asked.hop_ms, PADDING),
            *(self.answer_kind.num_outputs, recipe.model.dropout),
        )
        return SoundClassifier(recipe.model.name, shape, recipe[SoundNetworkSection])
