"""Transformer blocks (Vaswani et al., 2017; pre-norm as in GPT-2), for encoders, decoders and language models.

Shapes: B rows, T tokens, D width, H heads, E = D / H; S source tokens; P tokens already in a cache.
A cache is one tensor (B, layers, 2, H, P, E): keys and values of every layer, rows first, so that beams reorder it.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Decoder", "Encoder", "init_transformer"]


class SelfAttention(nn.Module):
    """Attention of each position to those that `mask` (B or 1, 1, T, P + T) allows, or to itself and what is before."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, mask: Tensor | None, past: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(B, T, D) -> (B, T, D), and the keys and values (B, 2, H, P + T, E). No mask: causal, and no past."""
        qkv = self.qkv(x).unflatten(2, (3, self.heads, -1)).transpose(1, 3)  # (B, H, 3, T, E)
        query, held = qkv[:, :, 0], qkv[:, :, 1:].transpose(1, 2)
        if past is not None:
            held = torch.cat([past, held], 3)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, held[:, 0], held[:, 1], mask, dropout, is_causal=mask is None)
        return self.out(seen.transpose(1, 2).flatten(2)), held


class CrossAttention(nn.Module):
    """Attention to a memory, whose keys and values are computed once a source."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.query = nn.Linear(width, width, bias=False)
        self.held = nn.Linear(width, 2 * width, bias=False)
        self.out = nn.Linear(width, width, bias=False)

    def memory(self, encoded: Tensor) -> Tensor:
        """(B, S, D) -> (B, 2, H, S, E)"""
        held: Tensor = self.held(encoded).unflatten(2, (2, self.heads, -1)).permute(0, 2, 3, 1, 4)
        return held

    def forward(self, x: Tensor, memory: Tensor, mask: Tensor) -> Tensor:
        query = self.query(x).unflatten(2, (self.heads, -1)).transpose(1, 2)
        dropout = self.dropout if self.training else 0.0
        seen = F.scaled_dot_product_attention(query, memory[:, 0], memory[:, 1], mask, dropout)
        out: Tensor = self.out(seen.transpose(1, 2).flatten(2))
        return out


class Block(nn.Module):
    """Self-attention, attention to a memory where there is one, and a two-layer perceptron, each added to its input."""

    def __init__(self, width: int, heads: int, hidden: int, dropout: float, *, cross: bool = False) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width, bias=False)
        self.attention = SelfAttention(width, heads, dropout)
        self.cross_norm = nn.LayerNorm(width, bias=False) if cross else None
        self.cross = CrossAttention(width, heads, dropout) if cross else None
        self.norm2 = nn.LayerNorm(width, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.drop = nn.Dropout(dropout)

    def forward(
        self,
        x: Tensor,
        mask: Tensor | None,
        past: Tensor | None = None,
        memory: Tensor | None = None,
        memory_mask: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        seen, held = self.attention(self.norm1(x), mask, past)
        x = x + self.drop(seen)
        if self.cross is not None and self.cross_norm is not None:
            assert memory is not None and memory_mask is not None
            x = x + self.drop(self.cross(self.cross_norm(x), memory, memory_mask))
        return x + self.drop(self.down(F.gelu(self.up(self.norm2(x))))), held


class Encoder(nn.Module):
    """Blocks in which every position sees every other that is no padding: (B, S, D) -> (B, S, D)."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, dropout: float) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """`mask` (B, 1, 1, S) is true where there is something to see."""
        for block in self.blocks:
            x, _ = block(x, mask)
        normed: Tensor = self.norm(x)
        return normed


class Decoder(nn.Module):
    """Blocks in which a position sees itself and what is before it, and a memory where `cross` says so."""

    def __init__(self, layers: int, width: int, heads: int, hidden: int, dropout: float, *, cross: bool) -> None:
        super().__init__()
        self.blocks = nn.ModuleList(Block(width, heads, hidden, dropout, cross=cross) for _ in range(layers))
        self.norm = nn.LayerNorm(width, bias=False)
        self._cache_shape = (layers, 2, heads, 0, width // heads)

    def empty_cache(self, rows: Tensor) -> Tensor:
        """(B, layers, 2, H, 0, E): nothing seen so far, for as many rows as the tensor has."""
        return rows.new_zeros((rows.shape[0], *self._cache_shape), dtype=self.norm.weight.dtype)

    def forward(self, x: Tensor, memory: Tensor | None = None, memory_mask: Tensor | None = None) -> Tensor:
        """All positions at once: (B, T, D) -> (B, T, D). `memory` (B, layers, 2, H, S, E), mask (B, 1, 1, S)."""
        for number, block in enumerate(self.blocks):
            x, _ = block(x, None, None, None if memory is None else memory[:, number], memory_mask)
        normed: Tensor = self.norm(x)
        return normed

    def step(
        self, x: Tensor, cache: Tensor, memory: Tensor | None = None, memory_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """T further positions after the P of the cache: (B, T, D), and the cache with them."""
        seen, new = cache.shape[4], x.shape[1]
        before = torch.arange(new, device=x.device)[:, None] + seen
        mask = (torch.arange(seen + new, device=x.device) <= before)[None, None]  # (1, 1, T, P + T)
        grown = []
        for number, block in enumerate(self.blocks):
            x, held = block(x, mask, cache[:, number], None if memory is None else memory[:, number], memory_mask)
            grown.append(held)
        return self.norm(x), torch.stack(grown, 1)

    def memory(self, encoded: Tensor) -> Tensor:
        """(B, S, D) -> (B, layers, 2, H, S, E): what every layer's attention to the source needs."""
        return torch.stack([block.cross.memory(encoded) for block in self.blocks], 1)  # type: ignore[union-attr,operator]  # a ModuleList has no type of its items


def sinusoids(length: int, width: int) -> Tensor:
    """(length, width): sines and cosines of wavelengths from 2 pi to 10,000 x 2 pi (Vaswani et al., 2017, 3.5)."""
    position = torch.arange(length)[:, None]
    rate = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    table = torch.zeros(length, width)
    table[:, 0::2], table[:, 1::2] = torch.sin(position * rate), torch.cos(position * rate[: width // 2])
    return table


def init_transformer(model: nn.Module, layers: int) -> None:
    """GPT-2's initial weights: normal with deviation 0.02, less by sqrt(2 layers) where a block adds to its input."""
    for name, parameter in model.named_parameters():
        if parameter.dim() < 2:
            continue
        added = name.endswith(("out.weight", "down.weight"))
        nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if added else 0.02)
