"""Layers that move numbers without changing them, and those that choose or add up. N rows, C channels, H, W."""

from __future__ import annotations

from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import Apply

__all__ = ["arg_max", "concat", "crop", "flatten", "interp", "permute", "reduction", "reshape", "shuffle", "slice_"]

MAX_SIDE = 100_000


@register("Concat", message="concat_param")
def concat(spec: Spec) -> nn.Module:
    """Blobs one behind the other along `axis`, 1 by default."""
    spec.bottoms(1, 1000)
    axis = spec.axis(spec.number("concat_dim") if "concat_dim" in spec else spec.number("axis"))
    for shape in spec.shapes:
        if shape[:axis] + shape[axis + 1 :] != spec.shapes[0][:axis] + spec.shapes[0][axis + 1 :]:
            raise spec.layer.wrong(f"{shape} and {spec.shapes[0]} differ in more than axis {axis}")
    return Apply(lambda *bottoms: torch.cat(bottoms, axis))


@register("Slice", message="slice_param")
def slice_(spec: Spec) -> nn.Module:
    """Parts along `axis`, cut at `slice_point` or all of one size."""
    spec.bottoms(1)
    axis = spec.axis(spec.number("slice_dim") if "slice_dim" in spec else spec.number("axis"))
    tops, side = len(spec.layer.tops), spec.shapes[0][axis]
    points = spec.numbers("slice_point", 0)
    if not points and side % tops:
        raise spec.layer.wrong(f"{side} along axis {axis} do not share out among {tops} tops")
    points = points or [side // tops * part for part in range(1, tops)]
    sizes = [end - start for start, end in zip([0, *points], [*points, side], strict=True)]
    if len(sizes) != tops or min(sizes) <= 0:
        raise spec.layer.wrong(f"slice_point {points} of {side} for {tops} tops")
    return Apply(lambda x: torch.split(x, sizes, axis))


@register("Split")
def _split(spec: Spec) -> nn.Module:
    spec.bottoms(1)
    tops = len(spec.layer.tops)
    return Apply(lambda x: (x,) * tops)


@register("Silence")
def _silence(spec: Spec) -> nn.Module:
    return Apply(lambda *bottoms: ())


@register("Flatten", message="flatten_param")
def flatten(spec: Spec) -> nn.Module:
    """Dimensions `axis` to `end_axis` as one."""
    spec.bottoms(1)
    first, last = spec.axis(spec.number("axis")), spec.axis(spec.number("end_axis"))
    if last < first:
        raise spec.layer.wrong(f"end_axis {last} is before axis {first}")
    return Apply(lambda x: x.flatten(first, last))


@register("Reshape", message="reshape_param")
def reshape(spec: Spec) -> nn.Module:
    """Dimensions from `axis` on in another shape: 0 keeps one, -1 follows from the rest."""
    spec.bottoms(1)
    shape = spec.shapes[0]
    first = spec.axis(spec.number("axis"), end=True)
    num = spec.number("num_axes", -1)
    last = len(shape) if num == -1 else first + num
    said = spec.inner("shape").numbers("dim", -1)
    if last > len(shape) or len(said) > 32:
        raise spec.layer.wrong(f"axes {first} to {last} of a blob of {len(shape)} dimensions")
    if any(dim == 0 and first + at >= len(shape) for at, dim in enumerate(said)):
        raise spec.layer.wrong("a dimension of 0 keeps that of its bottom, which has fewer")
    if said.count(-1) > 1:
        raise spec.layer.wrong("more than one dimension of -1")

    def give(x: Tensor) -> Tensor:
        kept = [x.shape[first + at] if dim == 0 else dim for at, dim in enumerate(said)]
        return x.reshape(*x.shape[:first], *kept, *x.shape[last:])

    return Apply(give)


@register("Permute", message="permute_param")
def permute(spec: Spec) -> nn.Module:
    """Dimensions in another order; those that are not said come behind, as they were."""
    spec.bottoms(1)
    dims = len(spec.shapes[0])
    order = spec.numbers("order", 0, dims - 1)
    order += [dim for dim in range(dims) if dim not in order]
    if len(order) != dims:
        raise spec.layer.wrong(f"order {order} of {dims} dimensions")
    return Apply(lambda x: x.permute(order).contiguous())


@register("Softmax", message="softmax_param")
def _softmax(spec: Spec) -> nn.Module:
    spec.bottoms(1)
    axis = spec.axis(spec.number("axis"))
    return Apply(lambda x: x.softmax(axis))


@register("Crop", message="crop_param")
def crop(spec: Spec) -> nn.Module:
    """The part of the first bottom that is as large as the second, from `axis` on."""
    spec.bottoms(2)
    large, small = spec.shapes
    first = spec.axis(spec.number("axis"))
    said = spec.numbers("offset", 0, MAX_SIDE)
    axes = range(first, len(large))
    if len(small) != len(large) or len(said) not in (0, 1, len(axes)):
        raise spec.layer.wrong(f"{len(said)} offsets and shapes {large} and {small}")
    offsets = said if len(said) == len(axes) else (said or [0]) * len(axes)
    for axis, offset in zip(axes, offsets, strict=True):
        if offset + small[axis] > large[axis]:
            raise spec.layer.wrong(f"{small[axis]} from {offset} on do not lie inside {large[axis]} (axis {axis})")

    def cut(x: Tensor, like: Tensor) -> Tensor:
        for axis, offset in zip(axes, offsets, strict=True):
            x = x.narrow(axis, offset, like.shape[axis])
        return x

    return Apply(cut)


@register("Tile", message="tile_param")
def _tile(spec: Spec) -> nn.Module:
    spec.bottoms(1)
    axis, times = spec.axis(spec.number("axis")), spec.number("tiles", 1)
    return Apply(lambda x: torch.cat([x] * times, axis) if times < 1000 else x.repeat_interleave(times, axis))


@register("ShuffleChannel", message="shuffle_channel_param")
def shuffle(spec: Spec) -> nn.Module:
    """Channels of `group` groups dealt out in turn (Zhang et al., 2017, ShuffleNet)."""
    spec.bottoms(1)
    spec.dims(4)
    groups = spec.number("group", 1)
    if spec.shapes[0][1] % groups:
        raise spec.layer.wrong(f"{spec.shapes[0][1]} channels do not share out among {groups} groups")
    return Apply(lambda x: x.unflatten(1, (groups, -1)).transpose(1, 2).flatten(1, 2))


@register("Interp", message="interp_param")
def interp(spec: Spec) -> nn.Module:
    """Bilinear resampling between the centres of the corners (Chen et al., 2016, DeepLab)."""
    spec.bottoms(1, 2)
    spec.dims(4)
    begin, end = (spec.number(name, -MAX_SIDE, 0) for name in ("pad_beg", "pad_end"))
    shrink, zoom = spec.number("shrink_factor", 1, 1000), spec.number("zoom_factor", 1, 1000)
    said = spec.number("height", 0, MAX_SIDE), spec.number("width", 0, MAX_SIDE)

    def resample(x: Tensor, like: Tensor | None = None) -> Tensor:
        if begin or end:
            x = F.pad(x, (begin, end, begin, end))
        sizes = [((side - 1) // shrink + 1) for side in x.shape[2:]]
        sizes = [side + (side - 1) * (zoom - 1) for side in sizes]
        if like is not None:
            sizes = list(like.shape[2:])
        elif 0 not in said:
            sizes = list(said)
        return F.interpolate(x, size=sizes, mode="bilinear", align_corners=True)

    return Apply(resample)


@register("ArgMax", message="argmax_param")
def arg_max(spec: Spec) -> nn.Module:
    """Places of the largest numbers, along `axis` or of a whole row: (N, 1, top_k); `out_max_val` adds their values."""
    spec.bottoms(1)
    top, values = spec.number("top_k", 1), spec.flag("out_max_val")
    axis = spec.axis(spec.number("axis")) if "axis" in spec else None
    available = prod(spec.shapes[0][1:]) if axis is None else spec.shapes[0][axis]
    if top > available:
        raise spec.layer.wrong(f"top_k is {top} of {available}")

    def find(x: Tensor) -> Tensor:
        best = x.flatten(1).topk(top, 1) if axis is None else x.topk(top, axis)
        if axis is not None:
            return best.values if values else best.indices.to(x.dtype)
        rows = [best.indices.to(x.dtype), *([best.values] if values else [])]
        return torch.stack(rows, 1)

    return Apply(find)


@register("Reduction", message="reduction_param")
def reduction(spec: Spec) -> nn.Module:
    """All dimensions from `axis` on as one number: sum, sum of magnitudes or squares, or mean, times `coeff`."""
    spec.bottoms(1)
    axis, operation, share = spec.axis(spec.number("axis")), spec.word("operation"), spec.real("coeff")

    def reduce(x: Tensor) -> Any:
        flat = x.flatten(axis)
        part = {"ASUM": flat.abs, "SUMSQ": flat.square}.get(operation, lambda: flat)()
        return (part.mean(axis) if operation == "MEAN" else part.sum(axis)) * share

    return Apply(reduce)
