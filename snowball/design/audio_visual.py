"""Hear and see: each stream is read on its own clock, and steps of the answer attend to both by when things happen.

Shapes: B rows, L samples, T frames of sound, N frames of film, S steps, K = T + N keys, D width, V outputs.
"""

from __future__ import annotations

import math
from fractions import Fraction

import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor, nn

from ..finding import BadInput
from ..recipe import Section
from .audio import Listening, SoundNetworkSection, SoundShape, over_time, stride_of
from .conformer import inside_frames
from .lips import LipFront, LipShape

__all__ = ["NETWORKS", "AudioVisualSpeller", "FusionSection"]

NETWORKS = {
    "crnn": "Each stream by convolutions and a two-way GRU, attention over both, and a two-way GRU.",
    "conformer": "Each stream by convolutions and a Conformer, attention over both, and a Conformer.",
}
NEAR, FAR = 100.0, 5.0  # per second: a head's preference for keys of its own moment, the first and the last head's
NEVER = -1e9  # added to the score of a key that is none


class FusionSection(Section):
    """How sound and lips are put together."""

    key = "fusion"

    layers: int = Field(2, ge=1, le=16)
    """Layers in which each step attends to both streams."""
    heads: int = Field(4, ge=1)
    """Heads of that attention; they divide the width."""
    alone: float = Field(1.0, ge=0)
    """Weight of the loss of each stream by itself, beside that of both: every training row is spelt three times, so
    that the network works with one stream alone."""
    taught: float = Field(0.5, ge=0)
    """Weight of how far each stream alone is from what both say at a step: both teach either (distillation; Hinton et
    al., 2015)."""


class _Fusion(nn.Module):
    """Each step attends to keys of both streams: what they hold, and how far from its own moment they are.

    The distance counts as in ALiBi (Press et al., 2022), in seconds, with a slope that each head learns. A stream that
    is noise can be given low scores throughout, and one that is absent has no keys.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.norm, self.last = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query, self.held, self.out = nn.Linear(width, width), nn.Linear(width, 2 * width), nn.Linear(width, width)
        self.slope = nn.Parameter(torch.linspace(math.log(NEAR), math.log(FAR), heads))
        self.hidden = nn.Sequential(
            nn.Linear(width, 2 * width), nn.SiLU(), nn.Dropout(dropout), nn.Linear(2 * width, width)
        )
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, memory: Tensor, apart: Tensor, blocked: Tensor) -> Tensor:
        """x (B, S, D), memory (B, K, D), seconds apart (S, K), and what is added to scores of keys (B, 1, 1, K)."""
        query = self.query(self.norm(x)).unflatten(2, (self.heads, -1)).transpose(1, 2)
        key, value = self.held(memory).unflatten(2, (2, self.heads, -1)).permute(2, 0, 3, 1, 4)
        bias = blocked - self.slope.exp()[:, None, None] * apart  # (B, H, S, K)
        seen = F.scaled_dot_product_attention(query, key, value, bias, self.dropout if self.training else 0.0)
        x = x + self.drop(self.out(seen.transpose(1, 2).flatten(2)))
        out: Tensor = x + self.drop(self.hidden(self.last(x)))
        return out


class AudioVisualSpeller(nn.Module):
    """`model(audio=a, video=v)`: (B, L) int16 samples and (B, N, H, W) uint8 pixels, either of which may be padding
    throughout, to `logits` (B, S, V) and `frames` (B,), each row's own steps. In training also what each stream alone
    says, sound before lips: `alone_logits` (B, 2, S, V) and `alone_frames` (B, 2), 0 where a row has none.

    A step lasts as long as a frame of sound, `audio.hop_ms` times `network.stride`.
    """

    def __init__(
        self,
        name: str,
        sound: SoundShape,
        lips: LipShape,
        frame_rate: float,
        size: SoundNetworkSection,
        fusion: FusionSection,
    ) -> None:
        super().__init__()
        width = size.width
        if width % fusion.heads:
            raise BadInput(f"fusion.heads={fusion.heads} does not divide network.width={width}")
        self.listen = Listening(name, sound, size)
        self.look = LipFront(lips, size.channels, width)
        self.look_over_time = over_time(name, size, sound.dropout)
        self.step_seconds = self.listen.features.hop / sound.rate * stride_of(size)
        self.frame_seconds = 1 / frame_rate
        # Whole numbers: the length of a batch and the lengths of its rows are rounded alike, whoever computes them.
        self.ratio = Fraction(self.frame_seconds / self.step_seconds).limit_denominator(1000)
        self.streams = nn.Parameter(0.1 * torch.randn(2, width))
        self.heard, self.seen = nn.LayerNorm(width), nn.LayerNorm(width)
        self.first = nn.Parameter(0.1 * torch.randn(width))
        self.fusions = nn.ModuleList(_Fusion(width, fusion.heads, sound.dropout) for _ in range(fusion.layers))
        self.body = over_time(name, size, sound.dropout)
        self.head = nn.Linear(width, sound.num_outputs)
        nn.init.normal_(self.head.weight, std=0.1)  # at 0.01 nothing but blanks is answered for hundreds of steps
        nn.init.zeros_(self.head.bias)

    def forward(self, audio: Tensor, video: Tensor, audio_masks: Tensor | None = None) -> dict[str, Tensor]:
        heard, sounds = self.listen(audio, audio_masks)  # (B, T, D), (B,)
        seen, pictures = self.look(video)  # (B, N, D), (B,)
        seen = self.look_over_time(seen, pictures)
        memory = torch.cat([self.heard(heard) + self.streams[0], self.seen(seen) + self.streams[1]], 1)
        inside = torch.cat([inside_frames(heard, sounds), inside_frames(seen, pictures)], 1)  # (B, K)
        times, of = self.ratio.numerator, self.ratio.denominator
        num = torch.sym_max(heard.shape[1], (seen.shape[1] * times + of - 1) // of)
        seen_steps = (pictures * times + of - 1) // of
        steps = torch.maximum(sounds, seen_steps)  # (B,)
        step_times = (torch.arange(num, device=audio.device) + 0.5) * self.step_seconds
        frame_times = (torch.arange(seen.shape[1], device=audio.device) + 0.5) * self.frame_seconds
        key_times = torch.cat([step_times[: heard.shape[1]], frame_times])  # (K,)
        apart = (step_times[:, None] - key_times).abs()  # (S, K)
        if not self.training:
            return {"logits": self._spelt(memory, inside, apart, steps), "frames": steps}
        is_sound = torch.arange(len(key_times), device=audio.device) < heard.shape[1]
        ways = torch.stack([inside, inside & is_sound, inside & ~is_sound], 1)  # (B, 3, K)
        frames = torch.stack([steps, sounds, seen_steps], 1)  # (B, 3)
        spelt = self._spelt(memory.repeat_interleave(3, 0), ways.flatten(0, 1), apart, frames.flatten())
        logits = spelt.unflatten(0, (-1, 3))
        both = {"logits": logits[:, 0], "frames": steps}
        return {**both, "alone_logits": logits[:, 1:], "alone_frames": frames[:, 1:]}

    def _spelt(self, memory: Tensor, inside: Tensor, apart: Tensor, steps: Tensor) -> Tensor:
        """(B, S, V) of those keys (B, K) of memory (B, K, D) that are inside, seconds apart (S, K), steps (B,)."""
        blocked = torch.where(inside, 0.0, NEVER)[:, None, None]
        x = self.first.expand(memory.shape[0], apart.shape[0], -1)
        for fusion in self.fusions:
            x = fusion(x, memory, apart, blocked)
        x = x * inside_frames(x, steps)[:, :, None]
        logits: Tensor = self.head(self.body(x, steps))
        return logits
