"""Held-out rows that were prepared otherwise than the rows a program learns from."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .experiment import CLEAR, Change
from .lab import Lab
from .nested import leaves, mapped
from .scale import by_channel

__all__ = ["other_scale"]

RATIO, SHIFT = 1.5, 0.5  # of spreads: splits that were drawn from one pool are far nearer


def other_scale(lab: Lab) -> Iterator[Finding]:
    """Held-out inputs of another mean or spread: the same network, judged with them brought to the training rows'."""
    val = lab.val
    if val is None or len(val) < 30:
        return
    others = dict(leaves(val.inputs))
    moved: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in leaves(lab.train.inputs):
        other = others.get(name)
        if other is None or not tensor.is_floating_point() or tensor.dim() < 2 or len(tensor) != len(lab.train):
            continue
        one, two = by_channel(tensor), by_channel(other)
        if one.shape[1] != two.shape[1]:
            continue
        alive = (one.std(0) > 1e-6) & (two.std(0) > 1e-6)
        if not alive.any():
            continue
        factor = torch.where(alive, one.std(0) / two.std(0).clamp(min=1e-12), 1.0)
        moves = torch.where(alive, one.mean(0) - two.mean(0) * factor, 0.0)
        shift = (one.mean(0) - two.mean(0)).abs()[alive] / one.std(0)[alive]
        ratio = torch.maximum(factor, 1 / factor)[alive]
        if float(ratio.median()) > RATIO or float(shift.median()) > SHIFT:
            axis = [1] * other.dim()
            axis[1 if other.dim() != 3 or other.shape[1] == len(factor) else 2] = len(factor)
            moved[name] = factor.reshape(axis), moves.reshape(axis)
    if not moved:
        return

    def brought(inputs: Any) -> Any:
        names = iter([name for name, _ in leaves(inputs)])

        def change(tensor: Tensor) -> Tensor:
            name = next(names)
            return tensor * moved[name][0] + moved[name][1] if name in moved else tensor

        return mapped(inputs, change)

    held_out = [(brought(inputs), targets) for inputs, targets in val.batches]
    gain = lab.own.gain(lab.outcome(Change("held-out inputs at the training rows' scale", held_out=held_out)))
    if gain > CLEAR / 2:
        factors = {name: float(factor.median()) for name, (factor, _) in moved.items()}
        message = (
            "held-out inputs have another mean or spread than training inputs; brought to theirs, the same network"
            f" knows {gain:.0%} more"
        )
        yield Finding("train-val-mismatch", "error", message, {"factors": factors, "gain": gain}, "prepare both alike")
