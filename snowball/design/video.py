"""Networks for video. Shapes: B rows, T frames, C channels, H, W; D features of a frame."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput, nearest
from ..recipe import Section
from .attention import Encoder
from .image import ImageShape, PixelNetwork, image_body
from .recurrent import Recurrent

__all__ = ["NETWORKS", "SINGLE_FRAME", "VideoNetwork", "VideoNetworkSection", "VideoShape", "video_body"]

GRID = 4  # squares each way, about, that a frame's features keep: motion is where something is, again and again
SINGLE_FRAME = "single frame"


class VideoNetworkSection(Section):
    """The parts of a network for video."""

    key = "network"

    backbone: str = "grid_cnn"
    """What reads each frame: `grid_cnn`, any network for pictures (`small_cnn`, `resnet18`), or `timm:NAME`."""
    width: int = Field(96, ge=8)
    """Features of a frame, and of the layers that follow them in time; channels of r2plus1d's last stage."""
    layers: int = Field(1, ge=1)
    """Layers over time, of cnn_gru and cnn_transformer."""


class VideoShape(NamedTuple):
    """What a body is built for: T frames of C channels and H x W pixels, and how many numbers it gives for a clip."""

    frames: int
    channels: int
    height: int
    width: int
    num_outputs: int
    dropout: float


class VideoNetwork(PixelNetwork):
    """`model(video=x)["logits"]`: (B, T, C, H, W) in 0..255 to (B, num_outputs)."""

    def __init__(self, body: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__(mean, std)
        self.body = body

    def forward(self, video: Tensor) -> dict[str, Tensor]:
        return {"logits": self.body(self.standardise(video))}


def _grid_cnn(shape: VideoShape, width: int) -> nn.Module:
    """Strided convolutions down to about 4 x 4 squares, and a layer over all of them: (N, C, H, W) to (N, D)."""
    layers: list[nn.Module] = []
    channels, wide, height, across = shape.channels, 16, shape.height, shape.width
    while min(height, across) > GRID:
        layers += [nn.Conv2d(channels, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
        channels, wide, height, across = wide, min(64, wide * 2), (height + 1) // 2, (across + 1) // 2
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(channels * height * across, width), nn.LayerNorm(width))


class _EachFrame(nn.Module):
    """A network for pictures on every frame: (B, T, C, H, W) to (B, T, D)."""

    def __init__(self, shape: VideoShape, backbone: str, width: int) -> None:
        super().__init__()
        self.frames = shape.frames
        picture = ImageShape(shape.channels, shape.height, shape.width, width)
        self.reader = _grid_cnn(shape, width) if backbone == "grid_cnn" else image_body(backbone, picture)

    def forward(self, video: Tensor) -> Tensor:
        features: Tensor = self.reader(video.flatten(0, 1)).unflatten(0, (-1, self.frames))
        return features


class _CnnGru(nn.Module):
    def __init__(self, shape: VideoShape, asked: VideoNetworkSection) -> None:
        super().__init__()
        self.reader = _EachFrame(shape, asked.backbone, asked.width)
        self.over_time = Recurrent("gru", asked.width, asked.width, asked.layers, shape.dropout)
        self.head = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(asked.width, shape.num_outputs))

    def forward(self, video: Tensor) -> Tensor:
        features = self.reader(video)
        states, _ = self.over_time(features, self.over_time.empty_state(features))
        logits: Tensor = self.head(states.mean(1))
        return logits


class _CnnTransformer(nn.Module):
    def __init__(self, shape: VideoShape, asked: VideoNetworkSection) -> None:
        super().__init__()
        heads = max(count for count in (1, 2, 4) if asked.width % count == 0)
        self.reader = _EachFrame(shape, asked.backbone, asked.width)
        self.places = nn.Parameter(torch.randn(shape.frames, asked.width))
        self.over_time = Encoder(asked.layers, asked.width, heads, 2 * asked.width, shape.dropout)
        # All frames side by side, not their mean, which has to find out by attention alone what came first.
        features = shape.frames * asked.width
        self.head = nn.Sequential(nn.Flatten(), nn.Dropout(shape.dropout), nn.Linear(features, shape.num_outputs))

    def forward(self, video: Tensor) -> Tensor:
        x = self.reader(video) + self.places
        everything = torch.ones(1, 1, 1, x.shape[1], dtype=torch.bool, device=x.device)
        logits: Tensor = self.head(self.over_time(x, everything))
        return logits


def _r2plus1d(shape: VideoShape, asked: VideoNetworkSection) -> nn.Module:
    stages = max(1, min(4, round(math.log2(min(shape.height, shape.width) / GRID))))
    layers: list[nn.Module] = [_Transposed()]
    channels = shape.channels
    for stage in range(stages):
        wide = max(16, asked.width >> (stages - 1 - stage))
        for kernel, stride, padding in (
            ((1, 3, 3), (1, 2, 2), (0, 1, 1)),  # over space
            ((3, 1, 1), (1 + (stage > 0 and shape.frames >> stage > 1), 1, 1), (1, 0, 0)),  # over time
        ):
            layers += [nn.Conv3d(channels, wide, kernel, stride, padding, bias=False), nn.BatchNorm3d(wide), nn.ReLU()]
            channels = wide
    head = [nn.AdaptiveAvgPool3d(1), nn.Flatten(), nn.Dropout(shape.dropout), nn.Linear(channels, shape.num_outputs)]
    return nn.Sequential(*layers, *head)


class _Transposed(nn.Module):
    def forward(self, video: Tensor) -> Tensor:
        """(B, T, C, H, W) to (B, C, T, H, W)"""
        return video.transpose(1, 2)


class _SingleFrame(nn.Module):
    """The middle frame alone."""

    def __init__(self, shape: VideoShape, asked: VideoNetworkSection) -> None:
        super().__init__()
        self.middle = shape.frames // 2
        self.reader = _EachFrame(shape._replace(frames=1), asked.backbone, asked.width)
        self.head = nn.Sequential(nn.Dropout(shape.dropout), nn.Linear(asked.width, shape.num_outputs))

    def forward(self, video: Tensor) -> Tensor:
        logits: Tensor = self.head(self.reader(video[:, self.middle : self.middle + 1])[:, 0])
        return logits


_Builder = Callable[[VideoShape, VideoNetworkSection], nn.Module]
_BODIES: dict[str, _Builder] = {
    "cnn_gru": _CnnGru,
    "cnn_transformer": _CnnTransformer,
    "r2plus1d": _r2plus1d,
    SINGLE_FRAME: _SingleFrame,
}
NETWORKS = {
    "cnn_gru": "A network for pictures on every frame, and a GRU over time.",
    "cnn_transformer": "A network for pictures on every frame, and a Transformer encoder over time.",
    "r2plus1d": "Convolutions over space and over time in turn (Tran et al., 2018), few enough to train from scratch.",
}


def video_body(name: str, shape: VideoShape, asked: VideoNetworkSection) -> nn.Module:
    """Build a body by name: one of NETWORKS, or SINGLE_FRAME."""
    if name not in _BODIES:
        raise BadInput(f"model {name!r} is not one of {', '.join(NETWORKS)}{nearest(name, NETWORKS)}")
    return _BODIES[name](shape, asked)
