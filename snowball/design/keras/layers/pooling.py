"""Pooling over windows, and over all. An average counts only what lies inside the picture. N rows, C channels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..registry import Spec, register
from ..weighted import KerasModule
from .convolution import ChannelsFirst, num_sides, pad_sides, same_padding

__all__ = ["global_pooling", "pooling"]

MAXIMUM: Sequence[Any] = (F.max_pool1d, F.max_pool2d, F.max_pool3d)
AVERAGE: Sequence[Any] = (F.avg_pool1d, F.avg_pool2d, F.avg_pool3d)


class _Pooling(ChannelsFirst):
    def __init__(self, spec: Spec, dims: int, maximum: bool) -> None:
        super().__init__(spec, dims)
        self._dims, self._maximum = dims, maximum
        self._size = spec.sides("pool_size", dims, 2)
        self._stride = spec.sides("strides", dims) if spec.said("strides") is not None else self._size
        self._same = spec.word("padding", ("valid", "same")) == "same"

    def inner(self, x: Tensor) -> Tensor:
        pairs = []
        if self._same:
            pairs = [same_padding(*side) for side in zip(x.shape[2:], self._size, self._stride, strict=True)]
        if self._maximum:
            most: Tensor = MAXIMUM[self._dims - 1](pad_sides(x, pairs, float("-inf")), self._size, self._stride)
            return most
        average = AVERAGE[self._dims - 1]
        found: Tensor = average(pad_sides(x, pairs), self._size, self._stride)
        if not any(side for pair in pairs for side in pair):
            return found
        inside: Tensor = average(pad_sides(torch.ones_like(x[:1, :1]), pairs), self._size, self._stride)
        return found / inside


class _Global(ChannelsFirst):
    def __init__(self, spec: Spec, dims: int, maximum: bool) -> None:
        super().__init__(spec, dims)
        self._sides, self._maximum = tuple(range(2, dims + 2)), maximum
        self._keeps = spec.flag("keepdims")

    def inner(self, x: Tensor) -> Tensor:
        return x.amax(self._sides, True) if self._maximum else x.mean(self._sides, True)

    def forward(self, x: Tensor) -> Tensor:
        found = super().forward(x)
        return found if self._keeps else found.flatten(1)


def _asked(spec: Spec) -> tuple[int, bool]:
    return num_sides(spec), "Max" in spec.layer.type


@register(*(f"{kind}Pooling{dims}D" for kind in ("Max", "Average") for dims in (1, 2, 3)))
def pooling(spec: Spec) -> KerasModule:
    """(N, sides..., C) to (N, smaller sides..., C)."""
    return _Pooling(spec, *_asked(spec))


@register(*(f"Global{kind}Pooling{dims}D" for kind in ("Max", "Average") for dims in (1, 2, 3)))
def global_pooling(spec: Spec) -> KerasModule:
    """(N, sides..., C) to (N, C)."""
    return _Global(spec, *_asked(spec))
