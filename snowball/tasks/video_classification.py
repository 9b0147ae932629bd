"""Video classification, such as action recognition: video -> label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ..comparison import Control
from ..design.video import NETWORKS, VideoNetworkSection
from ..recipe import Section
from ..table import Table
from ..task import Task
from ._clips import clip_control, clip_network, clip_training

__all__ = ["VideoClassification"]


class VideoClassification(Task):
    """A network from frames to one logit a class: outputs `logits` (B, classes). Its control sees a single frame."""

    name = "video-classification"
    given: ClassVar[Mapping[str, str]] = {"video": "video"}
    answer = ("label", "label")
    sections: ClassVar[tuple[type[Section], ...]] = (VideoNetworkSection,)
    sample = "motion"
    quick: ClassVar[Mapping[str, Any]] = {"train.epochs": 3, "network.width": 32}

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        return {**clip_training(cls, table, asked), "augment.scale": 0.1, "augment.shift": 0.1}

    def model(self) -> nn.Module:
        return clip_network(self)

    def control(self) -> Control:
        return clip_control(self)
