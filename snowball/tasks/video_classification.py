"""Video classification, such as action recognition: video -> label."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from ..comparison import Control
from ..design.video import NETWORKS, SINGLE_FRAME, VideoNetwork, VideoNetworkSection, VideoShape, video_body
from ..recipe import Section
from ..table import Table
from ..task import Task

__all__ = ["VideoClassification"]

SHOWN_ROWS = 16_000  # clips that a training shows in all, epochs within 10 to 40


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
        return {
            "model.name": cls.network_name(asked, "cnn_gru"),
            "train.batch_size": 16,
            "train.epochs": max(10, min(40, SHOWN_ROWS // len(table))),
            "optim.lr": 0.003,
            "schedule.name": "onecycle",
            # No turn and no flip: both change which way something moves.
            "augment.scale": 0.1,
            "augment.shift": 0.1,
            "augment.colour": 0.2,
        }

    def model(self) -> nn.Module:
        return self._network(self.recipe.model.name)

    def control(self) -> Control:
        return Control(SINGLE_FRAME, self._network(SINGLE_FRAME))

    def _network(self, name: str) -> nn.Module:
        state = self.kinds["video"].state
        frames, channels, height, width = (state[key] for key in ("frames", "channels", "height", "width"))
        shape = VideoShape(frames, channels, height, width, self.answer_kind.num_outputs, self.recipe.model.dropout)
        return VideoNetwork(video_body(name, shape, self.recipe[VideoNetworkSection]), state["mean"], state["std"])
