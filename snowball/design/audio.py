"""Networks for sound: log-mel features, convolutions, then a two-way GRU or a Conformer, and a head for each task.

Shapes: B rows, L samples, T frames, M mel bands, C channels, D width, V outputs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput, nearest
from ..recipe import Section
from .conformer import Conformer, inside_frames, pooled
from .recurrent import TwoWay
from .spectrum import LogMel

__all__ = [
    "GROUPS",
    "NETWORKS",
    "Listening",
    "OverTime",
    "SoundClassifier",
    "SoundNetworkSection",
    "SoundShape",
    "SoundSpeller",
    "over_time",
    "stride_of",
]

GROUPS = 4


class SoundNetworkSection(Section):
    """The size of a network for sound."""

    key = "network"

    channels: int = Field(24, ge=4, multiple_of=GROUPS)
    """Channels of the convolutions."""
    stride: int = Field(2, ge=1, le=8)
    """Frames that become one before the layers over time, 1, 2, 4 or 8: more is faster, but a character takes one."""
    width: int = Field(96, ge=8, multiple_of=2)
    """Features of a frame in the layers over time."""
    layers: int = Field(2, ge=0, le=32)
    """Layers over time. 0: convolutions alone, which hear a fraction of a second and learn no order of words."""
    heads: int = Field(4, ge=1)
    """Attention heads of a conformer; they divide the width."""


class OverTime(Protocol):
    """The size of layers over time."""

    @property
    def width(self) -> int: ...
    @property
    def layers(self) -> int: ...
    @property
    def heads(self) -> int: ...


class SoundShape(NamedTuple):
    """What a network is built for: how it hears, how many numbers it gives, and dropout."""

    rate: int
    mels: int
    window_ms: float
    hop_ms: float
    padding: int
    num_outputs: int
    dropout: float

    def features(self) -> LogMel:
        return LogMel(self.rate, self.mels, self.window_ms, self.hop_ms, self.padding)


class _FrameNorm(nn.Module):
    """Normalise the channels and bands of each frame by themselves, in groups of channels: (B, C, T, M)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(GROUPS, channels)

    def forward(self, x: Tensor) -> Tensor:
        frames = x.transpose(1, 2)  # (B, T, C, M)
        normed: Tensor = self.norm(frames.flatten(0, 1)).reshape(frames.shape).transpose(1, 2)
        return normed


class _Front(nn.Module):
    """Convolutions that halve the bands, and the frames `stride` times: (B, T, M) to (B, T / stride, D)."""

    def __init__(self, mels: int, channels: int, stride: int, width: int, dropout: float) -> None:
        super().__init__()
        halves = max(2, stride.bit_length() - 1)
        self.steps = [2 if number < stride.bit_length() - 1 else 1 for number in range(halves)]
        before, bands = 1, mels
        layers: list[nn.Module] = []
        for step in self.steps:
            conv = nn.Conv2d(before, channels, 3, (step, 2), 1, bias=False)
            layers.append(nn.Sequential(conv, _FrameNorm(channels), nn.SiLU()))
            before, bands = channels, (bands + 1) // 2
        conv = nn.Conv2d(channels, channels, 3, 1, 1, bias=False)
        layers.append(nn.Sequential(conv, _FrameNorm(channels), nn.SiLU()))
        self.steps.append(1)
        self.layers = nn.ModuleList(layers)
        self.out = nn.Sequential(nn.Linear(channels * bands, width), nn.LayerNorm(width), nn.Dropout(dropout))

    def forward(self, features: Tensor, frames: Tensor) -> tuple[Tensor, Tensor]:
        x = features[:, None]  # (B, 1, T, M)
        for step, layer in zip(self.steps, self.layers, strict=True):
            x = layer(x)
            frames = (frames + step - 1) // step
            x = x * inside_frames(x[:, 0], frames)[:, None, :, None]
        return self.out(x.transpose(1, 2).flatten(2)), frames


class _Recurrent(nn.Module):
    """Two-way GRU layers: (B, T, D) to (B, T, D)."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.layers = TwoWay("gru", width, width // 2, layers, dropout)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        read: Tensor = self.layers(x, frames.clamp(min=1))
        return read * inside_frames(read, frames)[:, :, None]


def _crnn(size: OverTime, dropout: float) -> nn.Module:
    """A two-way GRU."""
    return _Recurrent(size.width, size.layers, dropout)


def _conformer(size: OverTime, dropout: float) -> nn.Module:
    """A Conformer."""
    if size.width % size.heads:
        raise BadInput(f"network.heads={size.heads} does not divide network.width={size.width}")
    return Conformer(size.width, size.layers, size.heads, 4 * size.width, dropout)


_OVER_TIME: dict[str, Callable[[OverTime, float], nn.Module]] = {"crnn": _crnn, "conformer": _conformer}
NETWORKS = {
    "crnn": "Convolutions, then a two-way GRU.",
    "conformer": "Convolutions, then attention and depthwise convolutions (Conformer).",
}


def over_time(name: str, size: OverTime, dropout: float) -> nn.Module:
    """Layers from features (B, T, D) and the frames (B,) of each row to (B, T, D), whatever they are features of."""
    if name not in _OVER_TIME:
        raise BadInput(f"model={name}: not one of {', '.join(NETWORKS)}{nearest(name, NETWORKS)}")
    return _OVER_TIME[name](size, dropout)


def stride_of(size: SoundNetworkSection) -> int:
    """Frames of 10 ms, or what `audio.hop_ms` says, behind one frame of the output."""
    if size.stride & (size.stride - 1):
        raise BadInput(f"network.stride={size.stride}: 1, 2, 4 or 8")
    return size.stride


class Listening(nn.Module):
    """What both networks begin with: (B, L) samples to features (B, T, D) and the frames (B,) of each row."""

    def __init__(self, name: str, shape: SoundShape, size: SoundNetworkSection) -> None:
        super().__init__()
        self.features = shape.features()
        self.front = _Front(shape.mels, size.channels, stride_of(size), size.width, shape.dropout)
        self.body = over_time(name, size, shape.dropout)

    def forward(self, audio: Tensor, masks: Tensor | None) -> tuple[Tensor, Tensor]:
        x, frames = self.front(*self.features(audio, masks))
        return self.body(x, frames), frames


class SoundClassifier(nn.Module):
    """`model(audio=x)["logits"]`: (B, L) int16 samples to (B, V)."""

    def __init__(self, name: str, shape: SoundShape, size: SoundNetworkSection) -> None:
        super().__init__()
        self.listen = Listening(name, shape, size)
        self.drop = nn.Dropout(shape.dropout)
        self.head = nn.Linear(2 * size.width, shape.num_outputs)
        nn.init.normal_(self.head.weight, std=0.01)
        nn.init.zeros_(self.head.bias)

    def forward(self, audio: Tensor, audio_masks: Tensor | None = None) -> dict[str, Tensor]:
        return {"logits": self.head(self.drop(pooled(*self.listen(audio, audio_masks))))}


class SoundSpeller(nn.Module):
    """`model(audio=x)`: (B, L) int16 samples to `logits` (B, T, V) and `frames` (B,), each row's own."""

    def __init__(self, name: str, shape: SoundShape, size: SoundNetworkSection) -> None:
        super().__init__()
        self.listen = Listening(name, shape, size)
        self.head = nn.Linear(size.width, shape.num_outputs)
        nn.init.normal_(self.head.weight, std=0.1)  # at 0.01 nothing but blanks is answered for hundreds of steps
        nn.init.zeros_(self.head.bias)

    def forward(self, audio: Tensor, audio_masks: Tensor | None = None) -> dict[str, Tensor]:
        x, frames = self.listen(audio, audio_masks)
        return {"logits": self.head(x), "frames": frames}
