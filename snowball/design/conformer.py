"""Networks over time that mind where each row ends. B rows, T frames, D width, H heads.

What lies behind a row's own frames is 0 between all layers, so that no answer hangs on how far a batch is padded.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Conformer", "inside_frames", "pooled"]

KERNEL = 15  # frames that a depthwise convolution looks at; Gulati et al. use 32 at a quarter of the rate


def inside_frames(x: Tensor, frames: Tensor) -> Tensor:
    """(B, T) true for the frames (B,) that are a row's own; x (B, T, ...)."""
    return torch.arange(x.shape[1], device=x.device) < frames[:, None]


def pooled(x: Tensor, frames: Tensor) -> Tensor:
    """(B, T, D) to (B, 2 D): the mean and the largest value over each row's own frames."""
    inside = inside_frames(x, frames)[:, :, None]
    mean = (x * inside).sum(1) / frames.clamp(min=1)[:, None]
    return torch.cat([mean, x.masked_fill(~inside, -1e4).amax(1)], 1)


def _places(x: Tensor) -> Tensor:
    """(T, D) sines and cosines (Vaswani et al., 2017, 3.5), for any number of frames."""
    time = torch.arange(x.shape[1], device=x.device, dtype=torch.float32)[:, None]
    rate = torch.exp(torch.arange(0, x.shape[2], 2, device=x.device) * (-math.log(10_000.0) / x.shape[2]))
    return torch.cat([torch.sin(time * rate), torch.cos(time * rate)], 1)


class _FeedForward(nn.Module):
    def __init__(self, width: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, hidden), nn.SiLU(), nn.Dropout(dropout), nn.Linear(hidden, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class _Attention(nn.Module):
    """Every frame looks at every frame of its row."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm = nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        query, key, value = self.qkv(self.norm(x)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, key, value, inside[:, None, None], dropout)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out


class _Convolution(nn.Module):
    """A gate, a depthwise convolution over near frames, and back. LayerNorm, so that padding moves no batch's mean."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm, self.inner = nn.LayerNorm(width), nn.LayerNorm(width)
        self.gate = nn.Linear(width, 2 * width)
        self.depth = nn.Conv1d(width, width, KERNEL, padding=KERNEL // 2, groups=width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        x = F.glu(self.gate(self.norm(x)), 2) * inside[:, :, None]
        out: Tensor = self.out(F.silu(self.inner(self.depth(x.transpose(1, 2)).transpose(1, 2))))
        return out


class _Block(nn.Module):
    def __init__(self, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.before, self.after = _FeedForward(width, hidden, dropout), _FeedForward(width, hidden, dropout)
        self.attention, self.convolution = _Attention(width, heads, dropout), _Convolution(width)
        self.drop, self.norm = nn.Dropout(dropout), nn.LayerNorm(width)

    def forward(self, x: Tensor, inside: Tensor) -> Tensor:
        x = x + 0.5 * self.drop(self.before(x))
        x = x + self.drop(self.attention(x, inside))
        x = x + self.drop(self.convolution(x, inside))
        out: Tensor = self.norm(x + 0.5 * self.drop(self.after(x))) * inside[:, :, None]
        return out


class Conformer(nn.Module):
    """Blocks of half a perceptron, attention, a convolution and half a perceptron (Gulati et al., 2020).

    (B, T, D) and the frames (B,) that are each row's own to (B, T, D).
    """

    def __init__(self, width: int, layers: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(_Block(width, heads, hidden, dropout) for _ in range(layers))
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, frames: Tensor) -> Tensor:
        inside = inside_frames(x, frames)
        x = self.drop(x + _places(x)) * inside[:, :, None]
        for block in self.blocks:
            x = block(x, inside)
        return x
