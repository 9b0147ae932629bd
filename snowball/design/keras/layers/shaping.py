"""Layers that move numbers: reshape, permute, pad, cut, repeat, enlarge."""

from __future__ import annotations

from math import prod

import torch.nn.functional as F
from torch import Tensor

from ..registry import Spec, register
from ..weighted import Apply, KerasModule
from .convolution import ChannelsFirst, num_sides, pad_sides

__all__ = ["cropping", "flatten", "permute", "repeat_vector", "reshape", "up_sampling", "zero_padding"]


@register("Flatten")
def flatten(spec: Spec) -> KerasModule:
    """(N, ...) to (N, all). Keras 2 moves channels that come first behind before."""
    spec.inputs(1)
    last = spec.channels_last()
    moves = not last and spec.version < 3 and len(spec.shapes[0]) > 2
    return Apply(lambda x: x.movedim(1, -1).flatten(1) if moves else x.flatten(1) if x.dim() > 1 else x[:, None])


@register("Reshape")
def reshape(spec: Spec) -> KerasModule:
    """(N, ...) to (N, *target_shape), of which one side may be -1."""
    spec.inputs(1)
    target = spec.said("target_shape", [])
    if not isinstance(target, list) or any(type(side) is not int or side < -1 or side == 0 for side in target):
        raise spec.layer.wrong(f"target_shape is {target}")
    if target.count(-1) > 1 or len(target) > 8:
        raise spec.layer.wrong(f"target_shape is {target}")
    whole = prod(spec.shapes[0][1:])
    known = prod(side for side in target if side != -1)
    if whole % known or (-1 not in target and whole != known):
        raise spec.layer.wrong(f"{whole:,} numbers cannot be {target}")
    return Apply(lambda x: x.reshape(x.shape[0], *target))


@register("Permute")
def permute(spec: Spec) -> KerasModule:
    """Axes in another order, counted from 1."""
    spec.inputs(1)
    dims = spec.said("dims", [])
    if not isinstance(dims, list) or sorted(map(str, dims)) != sorted(map(str, range(1, len(spec.shapes[0])))):
        raise spec.layer.wrong(f"dims is {dims}, of an input with {len(spec.shapes[0])} axes")
    return Apply(lambda x: x.permute(0, *dims))


@register("RepeatVector")
def repeat_vector(spec: Spec) -> KerasModule:
    """(N, C) to (N, n, C)."""
    spec.inputs(1)
    spec.dims(2)
    times = spec.integer("n")
    return Apply(lambda x: x[:, None].expand(-1, times, -1))


class _Padding(ChannelsFirst):
    def __init__(self, spec: Spec, dims: int, key: str, sign: int) -> None:
        super().__init__(spec, dims)
        self._pairs = [(sign * before, sign * after) for before, after in spec.pairs(key, dims)]

    def inner(self, x: Tensor) -> Tensor:
        return pad_sides(x, self._pairs)


@register("ZeroPadding1D", "ZeroPadding2D", "ZeroPadding3D")
def zero_padding(spec: Spec) -> KerasModule:
    """Zeros around the sides."""
    return _Padding(spec, num_sides(spec), "padding", 1)


@register("Cropping1D", "Cropping2D", "Cropping3D")
def cropping(spec: Spec) -> KerasModule:
    """The sides cut off."""
    return _Padding(spec, num_sides(spec), "cropping", -1)


class _UpSampling(ChannelsFirst):
    def __init__(self, spec: Spec, dims: int) -> None:
        super().__init__(spec, dims)
        self._size = spec.sides("size", dims, 2)
        self._bilinear = (
            spec.word("interpolation", ("nearest", "bilinear") if dims == 2 else ("nearest",)) == "bilinear"
        )

    def inner(self, x: Tensor) -> Tensor:
        if self._bilinear:
            sides = [side * times for side, times in zip(x.shape[2:], self._size, strict=True)]
            return F.interpolate(x, sides, mode="bilinear", align_corners=False)
        for axis, times in enumerate(self._size, 2):
            x = x.repeat_interleave(times, axis) if times > 1 else x
        return x


@register("UpSampling1D", "UpSampling2D", "UpSampling3D")
def up_sampling(spec: Spec) -> KerasModule:
    """Each number repeated, or what lies between in proportion."""
    return _UpSampling(spec, num_sides(spec))
