"""Pooling and resampling. N rows, C channels, spatial sides behind."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register
from ..values import numbers_of, whole
from ._windows import Window

__all__ = ["average_pool", "max_pool", "resize"]

MAX_ZOOM = 10_000
_MAX: dict[int, Any] = {1: F.max_pool1d, 2: F.max_pool2d, 3: F.max_pool3d}
_MEAN: dict[int, Any] = {1: F.avg_pool1d, 2: F.avg_pool2d, 3: F.avg_pool3d}
_LINEAR = {3: "linear", 4: "bilinear", 5: "trilinear"}


def _window(spec: Spec) -> Window:
    window = Window(spec, ())
    if len(window.kernel) not in _MAX or spec.tensor().dim() != len(window.kernel) + 2:
        raise spec.node.wrong(f"windows of {len(window.kernel)} sides over {spec.tensor().dim()} dimensions")
    return window


def _fits(window: Window) -> bool:
    """Whether PyTorch pads by itself: the same on both sides, and by half a window at most."""
    return window.even is not None and all(
        2 * pad <= side for pad, side in zip(window.even, window.kernel, strict=True)
    )


@register("MaxPool")
def max_pool(spec: Spec) -> nn.Module:
    """The largest number of each window; padding never counts."""
    spec.operand_counts(1)
    window, ceil = _window(spec), spec.flag("ceil_mode")
    function = _MAX[len(window.kernel)]
    padding = window.even if _fits(window) else None

    def pool(x: Tensor) -> Any:
        if padding is None:
            x = window.padded(x, -torch.inf)
        return function(x, window.kernel, window.strides, padding or 0, window.dilations, ceil)

    return Apply(pool)


@register("AveragePool")
def average_pool(spec: Spec) -> nn.Module:
    """The mean of each window; of what lies inside the picture, unless `count_include_pad`."""
    spec.operand_counts(1)
    window, ceil, counted = _window(spec), spec.flag("ceil_mode"), spec.flag("count_include_pad")
    if set(window.dilations) != {1}:
        raise spec.node.wrong("dilations are not read")
    function = _MEAN[len(window.kernel)]
    if _fits(window):
        return Apply(lambda x: function(x, window.kernel, window.strides, window.even, ceil, counted))

    def pool(x: Tensor) -> Any:
        found = function(window.padded(x), window.kernel, window.strides, 0, ceil)
        if counted:
            return found
        inside = window.padded(torch.ones_like(x[:1, :1]))
        return found / function(inside, window.kernel, window.strides, 0, ceil)

    return Apply(pool)


@register("GlobalAveragePool")
def _global_mean(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    dims = tuple(range(2, spec.tensor().dim()))
    return Apply(lambda x: x.mean(dims, keepdim=True))


@register("GlobalMaxPool")
def _global_max(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    dims = tuple(range(2, spec.tensor().dim()))
    return Apply(lambda x: x.amax(dims, keepdim=True))


@register("Resize", "Upsample")
def resize(spec: Spec) -> nn.Module:
    """Resampling to `sizes` or by `scales`, as far as PyTorch has the same arithmetic."""
    dims = spec.tensor().dim()
    mode = spec.word("mode", "nearest", "nearest", "linear", "cubic", "bilinear")
    asymmetric = spec.node.op == "Upsample" or spec.opset < 11
    where = spec.node.attributes.get("coordinate_transformation_mode", "asymmetric" if asymmetric else "half_pixel")
    rounding = spec.node.attributes.get("nearest_mode", "floor" if asymmetric else "round_prefer_floor")
    spec.only("axes", None, None, list(range(dims)), list(range(2, dims)))
    spec.only("keep_aspect_ratio_policy", "stretch", "stretch")
    if dims not in _LINEAR or (mode == "cubic" and dims != 4):
        raise spec.node.wrong(f"{mode} over {dims} dimensions")
    antialias = spec.flag("antialias")
    if mode == "cubic":
        spec.only("cubic_coeff_a", -0.75, -0.5 if antialias else -0.75)  # PyTorch's own
    # PyTorch's wide windows leave out what lies beyond the border; its narrow ones repeat the border.
    spec.only("exclude_outside", 0, int(antialias))
    only_sides = spec.node.attributes.get("axes") == list(range(2, dims))
    last = 1 if asymmetric else 2  # operands: x, scales before opset 11; x, region, scales, sizes since
    attribute = spec.node.attributes.get("scales")

    def goal(x: Tensor, values: Sequence[Any]) -> tuple[list[Any], list[float] | None]:
        """Sides, and the scales where those were said."""
        if len(values) > last + 1 and values[last + 1] is not None:
            sides = whole(values[last + 1])
            return (sides if only_sides else _kept(x, sides)), None
        scales = attribute if attribute is not None else [float(s) for s in numbers_of(values[last])]
        scales = scales if only_sides else _kept(None, scales)
        if len(scales) != x.dim() - 2 or not all(0 < scale <= MAX_ZOOM for scale in scales):
            raise ValueError(f"scales {scales}")
        return [math.floor(side * scale) for side, scale in zip(x.shape[2:], scales, strict=True)], scales

    def run(*values: Any) -> Any:
        x = values[0]
        sides, scales = goal(x, values)
        if len(sides) != x.dim() - 2:
            raise ValueError(f"sizes of {len(sides)} sides")
        if tuple(sides) == tuple(x.shape[2:]):
            return x
        if mode == "nearest":
            return _nearest(x, sides, scales, where, rounding)
        if where not in ("half_pixel", "pytorch_half_pixel", "align_corners"):
            raise ValueError(f"coordinate_transformation_mode {where} with {mode}")
        how = "bicubic" if mode == "cubic" else _LINEAR[dims]
        corners = where == "align_corners"
        if scales is not None and not corners and not antialias:
            return F.interpolate(x, scale_factor=scales, mode=how, align_corners=False)
        return F.interpolate(x, size=sides, mode=how, align_corners=corners, antialias=antialias)

    return Apply(run)


def _kept(x: Tensor | None, values: Sequence[Any]) -> list[Any]:
    """What is said of the sides; rows and channels have to stay."""
    kept = (1, 1) if x is None else x.shape[:2]
    if len(values) < 3 or tuple(values[:2]) != tuple(kept):
        raise ValueError("rows or channels are resized")
    return list(values[2:])


def _nearest(x: Tensor, sides: Sequence[int], scales: Sequence[float] | None, where: str, rounding: str) -> Tensor:
    """By index, since the ways to choose the nearest differ in more than PyTorch has."""
    for number, side in enumerate(sides):
        axis, own = number + 2, x.shape[number + 2]
        scale = scales[number] if scales is not None else side / own
        at = torch.arange(int(side), device=x.device, dtype=torch.float64)
        if where in ("half_pixel", "pytorch_half_pixel"):
            at = (at + 0.5) / scale - 0.5
        elif where == "asymmetric":
            at = at / scale
        elif where == "align_corners":
            at = at * (own - 1) / max(1, side - 1)
        else:
            raise ValueError(f"coordinate_transformation_mode {where} with nearest")
        roundings: dict[str, Callable[[Tensor], Tensor]] = {
            "floor": torch.floor,
            "ceil": torch.ceil,
            "round_prefer_floor": lambda value: torch.ceil(value - 0.5),
            "round_prefer_ceil": lambda value: torch.floor(value + 0.5),
        }
        if rounding not in roundings:
            raise ValueError(f"nearest_mode {rounding}")
        x = x.index_select(axis, roundings[rounding](at).clamp(0, own - 1).long())
    return x


@register("DepthToSpace")
def _depth_to_space(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    size = spec.number("blocksize", None, 1, 1000)
    if spec.word("mode", "DCR", "DCR", "CRD") == "CRD":
        return nn.PixelShuffle(size)
    return Apply(lambda x: F.pixel_shuffle(x.unflatten(1, (size * size, -1)).transpose(1, 2).flatten(1, 2), size))


@register("SpaceToDepth")
def _space_to_depth(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    size = spec.number("blocksize", None, 1, 1000)
    return Apply(lambda x: F.pixel_unshuffle(x, size).unflatten(1, (-1, size * size)).transpose(1, 2).flatten(1, 2))
