"""Operators that move numbers without changing them, of tensors and of known values."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register
from ..values import MAX_KNOWN, as_known, as_tensor, bounded, is_known, numbers_of, whole

__all__ = ["concat", "expand", "gather", "pad", "reshape", "slice_", "split"]

MAX_SIDE = 2**31


@register("Identity")
def _identity(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    return nn.Identity()


@register("Dropout")
def _dropout(spec: Spec) -> nn.Module:
    """Only in training, and by the share that an exporter left there."""
    spec.operand_counts(1, 3)
    share = spec.real("ratio", 0.5)
    if (said := spec.known(1)) is not None:
        share = float(numbers_of(said)[0])
    if not 0 <= share < 1:
        raise spec.node.wrong(f"ratio is {share}")
    return Apply(_Dropped(share))


class _Dropped(nn.Dropout):
    def forward(self, x: Tensor, *_: Any) -> Tensor:
        return super().forward(x)


@register("Shape")
def _shape(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    start, end = spec.number("start", 0), spec.number("end", MAX_SIDE - 1)
    return Apply(lambda x: as_known(list(x.shape)[start:end]))


@register("Size")
def _size(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    return Apply(lambda x: as_known(prod(x.shape)))


@register("ConstantOfShape")
def _constant_of_shape(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    value = spec.node.attributes.get("value", 0.0)
    return Apply(lambda shape: _filled(whole(shape), value))


def _filled(shape: Sequence[Any], value: Any) -> Any:
    if prod(shape) > MAX_KNOWN or any(isinstance(side, torch.SymInt) for side in shape):
        kind = torch.bool if isinstance(value, bool) else torch.int64 if isinstance(value, int) else torch.float32
        return torch.full(tuple(shape), value, dtype=kind)
    return as_known(np.full(tuple(shape), value, dtype=object))


@register("Range")
def _range(spec: Spec) -> nn.Module:
    spec.operand_counts(3)

    def count(start: Any, limit: Any, step: Any) -> Any:
        values = [numbers_of(value)[0] for value in (start, limit, step)]
        if not values[2]:
            raise ValueError("a step of 0")
        if any(isinstance(value, torch.SymInt | float) for value in values):
            return torch.arange(*values)
        if len(range(*values)) > MAX_KNOWN:
            return torch.arange(*values)
        return as_known(list(range(*values)))

    return Apply(count)


@register("Reshape")
def reshape(spec: Spec) -> nn.Module:
    """To a shape in which 0 keeps a side, unless `allowzero`, and -1 follows from the rest."""
    spec.operand_counts(1 if spec.opset < 5 else 2, 2)
    listed, allow_zero = spec.listed("shape"), spec.flag("allowzero")

    def run(x: Any, shape: Any = None) -> Any:
        sides = listed(shape)
        if not allow_zero:
            sides = [x.shape[at] if side == 0 and at < len(x.shape) else side for at, side in enumerate(sides)]
        return x.reshape(tuple(sides))

    return Apply(run)


@register("Flatten")
def _flatten(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    dims = spec.tensor().dim()
    axis = spec.number("axis", 1, -dims, dims)
    axis = axis + dims if axis < 0 else axis
    if axis == 1:
        return nn.Flatten()
    return Apply(lambda x: x.reshape(prod(x.shape[:axis]), -1))


@register("Transpose")
def _transpose(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    said = spec.numbers("perm")

    def run(x: Any) -> Any:
        order = said or list(range(len(x.shape)))[::-1]
        return x.transpose(order) if is_known(x) else x.permute(order)

    return Apply(run)


@register("Squeeze")
def _squeeze(spec: Spec) -> nn.Module:
    spec.operand_counts(1, 2)
    listed = spec.listed("axes")

    def run(x: Any, said: Any = None) -> Any:
        over = listed(said) or [at for at, side in enumerate(x.shape) if side == 1]
        if any(x.shape[axis] != 1 for axis in over):
            raise ValueError(f"a side of {tuple(x.shape)} that is not 1")
        return as_known(np.squeeze(x, tuple(over))) if is_known(x) else x.squeeze(tuple(over))

    return Apply(run)


@register("Unsqueeze")
def _unsqueeze(spec: Spec) -> nn.Module:
    spec.operand_counts(1, 2)
    listed = spec.listed("axes")

    def run(x: Any, said: Any = None) -> Any:
        over = listed(said)
        dims = len(x.shape) + len(over)
        for axis in sorted(axis + dims if axis < 0 else axis for axis in over):
            x = np.expand_dims(x, axis) if is_known(x) else x.unsqueeze(axis)
        return x

    return Apply(run)


@register("Concat")
def concat(spec: Spec) -> nn.Module:
    """One behind the other. What was written for one row is repeated for as many as there are."""
    spec.operand_counts(1, 10_000)
    axis = spec.number("axis")

    def run(*values: Any) -> Any:
        if all(is_known(value) for value in values):
            bounded([sum(value.size for value in values)])
            return np.concatenate(values, axis)
        like = next(value for value in values if isinstance(value, Tensor))
        tensors = [as_tensor(value, like) for value in values]
        if axis % like.dim() != 0:
            rows = max(tensor.shape[0] for tensor in tensors)
            tensors = [t.expand(rows, *t.shape[1:]) if t.shape[0] == 1 and rows != 1 else t for t in tensors]
        return torch.cat(tensors, axis)

    return Apply(run)


@register("Split")
def split(spec: Spec) -> nn.Module:
    """Into parts of said sizes, or as many alike as the node has outputs."""
    spec.operand_counts(1, 2)
    axis, listed, count = spec.number("axis", 0), spec.listed("split", 0), len(spec.node.outputs)
    if spec.number("num_outputs", count) != count:
        raise spec.node.wrong(f"num_outputs is {spec.number('num_outputs')}, it has {count} outputs")

    def run(x: Any, sizes: Any = None) -> Any:
        parts = listed(sizes)
        side = x.shape[axis]
        if not parts:
            each = -(-side // count)
            parts = [each] * (count - 1) + [side - each * (count - 1)]
        if sum(parts) != side or min(parts) < 0:
            raise ValueError(f"parts of {parts} of {side}")
        if is_known(x):
            return tuple(np.split(x, list(accumulate(parts))[:-1], axis))
        return tuple(x.split(parts, axis))

    return Apply(run)


@register("Slice")
def slice_(spec: Spec) -> nn.Module:
    """From starts to ends, along axes and by steps; backwards where a step is negative."""
    spec.operand_counts(1, 5)
    names = "starts", "ends", "axes"
    own = [as_known(spec.numbers(name, -(2**63), 2**63)) if name in spec else None for name in names]

    def run(x: Any, starts: Any = None, ends: Any = None, axes: Any = None, steps: Any = None) -> Any:
        begins, stops, over = (
            None if value is None else whole(value) for value in (own if starts is None else (starts, ends, axes))
        )
        if begins is None or stops is None:
            raise ValueError("starts or ends are missing")
        over = list(range(len(begins))) if over is None else over
        by = [1] * len(begins) if steps is None else whole(steps)
        for begin, stop, axis, step in zip(begins, stops, over, by, strict=True):
            x = _cut(x, begin, stop, spec.axis(axis, len(x.shape)), step)
        return x

    return Apply(run)


def _cut(x: Any, begin: Any, stop: Any, axis: int, step: int) -> Any:
    if is_known(x):
        return x[(*([slice(None)] * axis), slice(begin, None if step < 0 and stop < -x.shape[axis] else stop, step))]
    if step > 0:
        return x[(*([slice(None)] * axis), slice(begin, min(stop, MAX_SIDE) if isinstance(stop, int) else stop, step))]
    places = range(x.shape[axis])[begin : None if stop < -x.shape[axis] else stop : step]
    return x.index_select(axis, torch.tensor(list(places), device=x.device))


@register("Gather")
def gather(spec: Spec) -> nn.Module:
    """Entries along an axis, by number; their shape stands where the axis was."""
    spec.operand_counts(2)
    axis = spec.number("axis", 0)

    def run(x: Any, places: Any) -> Any:
        if is_known(x) and is_known(places):
            bounded([*x.shape, *places.shape])
            return as_known(np.take(x, np.array(whole(places), dtype=np.int64).reshape(places.shape), axis))
        if is_known(x):
            x = torch.tensor(x.tolist(), device=places.device)
        at = spec.axis(axis, x.dim())
        side = x.shape[at]
        if is_known(places) and places.ndim == 0:
            return x.select(at, whole(places)[0])
        if is_known(places):
            chosen = [place + side if place < 0 else place for place in whole(places)]
            places = torch.tensor(chosen, dtype=torch.int64, device=x.device).reshape(places.shape)
        else:
            places = places.to(x.device).long()
            places = torch.where(places < 0, places + side, places)
        found = x.index_select(at, places.reshape(-1))
        return found.reshape(*x.shape[:at], *places.shape, *x.shape[at + 1 :])

    return Apply(run)


@register("Expand")
def expand(spec: Spec) -> nn.Module:
    """To a shape by broadcasting, which may have more dimensions, or 1 where the tensor has more."""
    spec.operand_counts(2)

    def run(x: Any, shape: Any) -> Any:
        sides = whole(shape)
        own = [1] * (len(sides) - len(x.shape)) + list(x.shape)
        sides = [1] * (len(own) - len(sides)) + sides
        goal = tuple(mine if side == 1 else side for mine, side in zip(own, sides, strict=True))
        if not is_known(x):
            return x.reshape(own).expand(goal)
        if x.size == 1:
            return _filled(goal, numbers_of(x)[0])
        bounded(goal)
        return np.broadcast_to(x, goal)

    return Apply(run)


@register("Tile")
def _tile(spec: Spec) -> nn.Module:
    spec.operand_counts(2)

    def run(x: Any, times: Any) -> Any:
        repeats = whole(times)
        if is_known(x):
            bounded([side * many for side, many in zip(x.shape, repeats, strict=True)])
            return np.tile(x, repeats)
        return x.repeat(*repeats)

    return Apply(run)


@register("Pad")
def pad(spec: Spec) -> nn.Module:
    """Sides before and behind each axis, with a number, by mirroring or by repeating; negative ones cut."""
    spec.operand_counts(1, 4)
    mode = spec.word("mode", "constant", "constant", "reflect", "edge")
    listed, own = spec.listed("pads"), spec.real("value", 0.0)

    def run(x: Any, pads: Any = None, value: Any = None, axes: Any = None) -> Any:
        given = listed(pads)
        dims = len(x.shape)
        over = list(range(dims)) if axes is None else [spec.axis(axis, dims) for axis in whole(axes)]
        if len(given) != 2 * len(over):
            raise ValueError(f"{len(given)} pads for {len(over)} axes")
        before, behind = [0] * dims, [0] * dims
        for number, axis in enumerate(over):
            before[axis], behind[axis] = given[number], given[len(over) + number]
        if is_known(x):
            raise ValueError("of numbers that are known before a run")
        first = next((axis for axis in range(x.dim()) if before[axis] or behind[axis]), x.dim())
        sides = [side for axis in range(x.dim() - 1, first - 1, -1) for side in (before[axis], behind[axis])]
        if not sides:
            return x
        if mode == "constant":
            return F.pad(x, sides, value=own if value is None else float(numbers_of(value)[0]))
        return F.pad(x, sides, mode="reflect" if mode == "reflect" else "replicate")

    return Apply(run)


@register("Trilu")
def _triangle(spec: Spec) -> nn.Module:
    spec.operand_counts(1, 2)
    upper = spec.flag("upper", 1)
    function: Any = torch.triu if upper else torch.tril
    return Apply(lambda x, k=None: function(x, 0 if k is None else whole(k)[0]))
