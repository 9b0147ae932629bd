"""A network that reads lips: small convolutions over time and space, then layers over time, and a head that spells.

Shapes: B rows, T frames, H, W, C channels, D width, V outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..recipe import Section
from .audio import GROUPS, over_time
from .conformer import inside_frames

__all__ = ["NETWORKS", "LipFront", "LipNetworkSection", "LipShape", "LipSpeller"]

NETWORKS = {
    "crnn": "Convolutions over time and space, then a two-way GRU, as LipNet (Assael et al., 2016) has it.",
    "conformer": "The same convolutions, then attention and depthwise convolutions (Conformer).",
}
NEIGHBOURS = 2  # frames to either side that the first layer sees, as LipNet's
GRID = 4  # rows of squares, about, that a frame's features keep


class LipNetworkSection(Section):
    """The size of a network that reads lips."""

    key = "network"

    channels: int = Field(32, ge=4, multiple_of=GROUPS)
    """Channels of the convolutions."""
    per_frame: int = Field(1, ge=1, le=8)
    """Steps of the answer that a frame becomes: each character needs one, and a doubled one two."""
    width: int = Field(128, ge=8, multiple_of=2)
    """Features of a frame in the layers over time."""
    layers: int = Field(2, ge=1, le=32)
    """Layers over time."""
    heads: int = Field(4, ge=1)
    """Attention heads of a conformer; they divide the width."""


class LipShape(NamedTuple):
    """What a network is built for: H x W pixels, what stands for no frame, and dropout."""

    height: int
    width: int
    padding: int
    dropout: float


class LipFront(nn.Module):
    """(B, T, H, W) uint8 to features (B, T, D), 0 behind each row's own frames, and how many those are (B,).

    Each film is brought to mean 0 and deviation 1 over its own frames: neither its light nor how far its batch is
    padded changes what is seen. The first layer sees a frame, and as further channels by how much it and its
    neighbours differ from the film's mean picture, which is what moves; with neighbours as channels it is a 3D
    convolution. The layers behind it see each frame by itself.
    """

    def __init__(self, shape: LipShape, channels: int, width: int) -> None:
        super().__init__()
        self.padding = shape.padding
        layers: list[nn.Module] = []
        before, height, across = 2 * NEIGHBOURS + 2, shape.height, shape.width
        while not layers or height > GRID:
            conv = nn.Conv2d(before, channels, 3, 2, 1, bias=False)
            layers += [conv, nn.GroupNorm(GROUPS, channels), nn.SiLU()]
            before, height, across = channels, (height + 1) // 2, (across + 1) // 2
        self.layers = nn.Sequential(*layers)
        out = nn.Linear(channels * height * across, width)
        self.out = nn.Sequential(nn.Flatten(), out, nn.LayerNorm(width), nn.Dropout(shape.dropout))

    def forward(self, video: Tensor) -> tuple[Tensor, Tensor]:
        held = (video != self.padding).flatten(2).any(2)  # (B, T)
        own, count = held[:, :, None, None], held.sum(1).clamp(min=1)[:, None, None, None]
        pixels = video.float() * own
        x = (pixels - pixels.mean((2, 3), keepdim=True).sum(1, keepdim=True) / count) * own
        x = x / (x.square().mean((2, 3), keepdim=True).sum(1, keepdim=True) / count + 1.0).sqrt()
        num = x.shape[1]
        moving = F.pad((x - x.sum(1, keepdim=True) / count) * own, (0, 0, 0, 0, NEIGHBOURS, NEIGHBOURS))
        near = torch.stack([x, *(moving[:, step : step + num] for step in range(2 * NEIGHBOURS + 1))], 2)
        features = self.out(self.layers(near.flatten(0, 1))).unflatten(0, (-1, num))  # (B, T, D)
        return features * held[:, :, None], held.sum(1)


class LipSpeller(nn.Module):
    """`model(video=x)`: (B, T, H, W) uint8 to `logits` (B, T * per_frame, V) and `frames` (B,), each row's own."""

    def __init__(self, name: str, shape: LipShape, size: LipNetworkSection, num_outputs: int) -> None:
        super().__init__()
        self.per_frame = size.per_frame
        self.front = LipFront(shape, size.channels, size.width)
        self.spread = nn.Linear(size.width, size.per_frame * size.width)
        self.body = over_time(name, size, shape.dropout)
        self.head = nn.Linear(size.width, num_outputs)
        nn.init.normal_(self.head.weight, std=0.1)  # at 0.01 nothing but blanks is answered for hundreds of steps
        nn.init.zeros_(self.head.bias)

    def forward(self, video: Tensor) -> dict[str, Tensor]:
        x, frames = self.front(video)
        steps = self.spread(x).unflatten(2, (self.per_frame, -1)).flatten(1, 2)  # (B, T * per_frame, D)
        frames = frames * self.per_frame
        steps = steps * inside_frames(steps, frames)[:, :, None]
        return {"logits": self.head(self.body(steps, frames)), "frames": frames}
