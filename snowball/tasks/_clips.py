"""What tasks share that are given a clip, whatever they answer: what it is trained by, its network and its control."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from ..comparison import Control
from ..design.video import SINGLE_FRAME, VideoNetwork, VideoNetworkSection, VideoShape, video_body
from ..table import Table
from ..task import Task

__all__ = ["clip_control", "clip_network", "clip_training"]

SHOWN_ROWS = 16_000  # clips that a training shows in all, epochs within 10 to 40


def clip_training(task_type: type[Task], table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Recipe values of every such training. No turn and no flip: both change which way something moves."""
    return {
        "model.name": task_type.network_name(asked, "cnn_gru"),
        "train.batch_size": 16,
        "train.epochs": max(10, min(40, SHOWN_ROWS // len(table))),
        "optim.lr": 0.003,
        "schedule.name": "onecycle",
        "augment.colour": 0.2,
    }


def clip_network(task: Task) -> nn.Module:
    """The network that the recipe names, from frames to as many numbers as the answer takes."""
    return _network(task, task.recipe.model.name)


def clip_control(task: Task) -> Control:
    """The same for the middle frame alone, which shows no motion."""
    return Control(SINGLE_FRAME, _network(task, SINGLE_FRAME))


def _network(task: Task, name: str) -> nn.Module:
    state = task.kinds["video"].state
    frames, channels, height, width = (state[key] for key in ("frames", "channels", "height", "width"))
    shape = VideoShape(frames, channels, height, width, task.answer_kind.num_outputs, task.recipe.model.dropout)
    return VideoNetwork(video_body(name, shape, task.recipe[VideoNetworkSection]), state["mean"], state["std"])
