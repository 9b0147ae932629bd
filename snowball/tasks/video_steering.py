"""Steering by what moves: video -> number. Mostly the angle of a steering wheel from the last moments of a camera."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ..comparison import Control
from ..design.video import NETWORKS, VideoNetworkSection
from ..recipe import Section
from ..table import Table
from ._clips import clip_control, clip_network, clip_training
from ._steered import Steered, SteeringSection

__all__ = ["VideoSteering"]


class VideoSteering(Steered):
    """A network from frames to one number: outputs `logits` (B, 1), in standard deviations. Its control sees one."""

    name = "video-steering"
    given: ClassVar[Mapping[str, str]] = {"video": "video"}
    sections: ClassVar[tuple[type[Section], ...]] = (SteeringSection, VideoNetworkSection)
    sample = "speeds"
    quick: ClassVar[Mapping[str, Any]] = {"train.epochs": 3, "model.name": "r2plus1d", "network.width": 16}

    @classmethod
    def networks(cls) -> dict[str, str]:
        return NETWORKS

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        # Nothing grows, shrinks or shifts: that changes how fast something moves, or where the road is.
        return {**clip_training(cls, table, asked), **super().defaults(table, asked)}

    def model(self) -> nn.Module:
        return clip_network(self)

    def control(self) -> Control:
        return clip_control(self)
