"""The size of inputs, and the same inputs at mean 0 and spread 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from .nested import leaves, mapped, row_count

__all__ = ["by_channel", "standardiser"]


def _channel(tensor: Tensor) -> int:
    """The dimension of channels: 1, or the last of three where means differ more along it, as in (B, T, C)."""
    if tensor.dim() != 3:
        return 1
    return max((1, 2), key=lambda axis: float(tensor.mean([d for d in range(3) if d != axis]).var(correction=0)))


def by_channel(tensor: Tensor) -> Tensor:
    """(N, C): all numbers of each channel."""
    axis = _channel(tensor)
    return tensor.movedim(axis, -1).reshape(-1, tensor.shape[axis])


def standardiser(inputs: Any) -> Callable[[Any], Any]:
    """What puts each channel of float inputs at mean 0 and spread 1, by these rows; a constant one keeps its spread."""
    count = row_count(inputs)
    stats = {}
    for name, tensor in leaves(inputs):
        if tensor.is_floating_point() and tensor.dim() >= 2 and len(tensor) == count:
            dims = [d for d in range(tensor.dim()) if d != _channel(tensor)]
            spread = tensor.std(dims, keepdim=True)
            stats[name] = tensor.mean(dims, keepdim=True), spread.where(spread > 1e-6, spread.new_ones(()))

    def standardised(value: Any) -> Any:
        names = iter([name for name, _ in leaves(value)])

        def change(tensor: Tensor) -> Tensor:
            mean, spread = stats.get(next(names), (0, 1))
            return (tensor - mean) / spread if tensor.is_floating_point() else tensor

        return mapped(value, change)

    return standardised
