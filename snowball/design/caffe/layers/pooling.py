"""Pooling by Caffe's rules. N rows, C channels, H, W.

A window may begin anywhere inside the padded picture: sizes are rounded up, and a window that would begin in the far
padding is dropped. An average is over what of the window lies in the padded picture, zeros of the padding included.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register

__all__ = ["pooled_size", "pooling", "roi_pooling", "upsample"]

MAX_SIDE = 100_000


def pooled_size(side: int, kernel: int, stride: int, pad: int, *, ceil: bool = True) -> int:
    """Windows along one side.

    >>> pooled_size(113, 3, 2, 0), pooled_size(113, 3, 2, 0, ceil=False), pooled_size(5, 2, 2, 1)
    (56, 56, 3)
    >>> pooled_size(112, 3, 2, 0), pooled_size(112, 3, 2, 0, ceil=False)
    (56, 55)
    """
    steps = (side + 2 * pad - kernel) / stride
    size = (math.ceil(steps) if ceil else math.floor(steps)) + 1
    return size - 1 if pad and (size - 1) * stride >= side + pad else size


class _Pooling(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.bottoms(1)
        spec.dims(4)
        self._over_all = spec.flag("global_pooling")
        self._method = spec.word("pool")
        self._ceil = spec.word("round_mode") == "CEIL" and spec.flag("ceil_mode")
        self._masks = len(spec.layer.tops) > 1
        if self._masks and (self._method != "MAX" or len(spec.layer.tops) > 2):
            raise spec.layer.wrong("a second top is the mask of a maximum, and there is no third")
        sides = {}
        for name, default in (("kernel", 0), ("stride", 1), ("pad", 0)):
            whole = "kernel_size" if name == "kernel" else name
            both = spec.number(whole, 0, MAX_SIDE) if whole in spec else default
            sides[name] = tuple(
                spec.number(f"{name}_{side}", 0, MAX_SIDE) if f"{name}_{side}" in spec else both for side in "hw"
            )
        self._kernel, self._stride, self._pad = sides["kernel"], sides["stride"], sides["pad"]
        if self._over_all:
            if self._pad != (0, 0) or self._stride != (1, 1):
                raise spec.layer.wrong("global pooling with a stride or padding")
        elif 0 in self._kernel or 0 in self._stride:
            raise spec.layer.wrong("kernel_size is missing, or a stride is 0")
        elif any(pad >= kernel for pad, kernel in zip(self._pad, self._kernel, strict=True)):
            raise spec.layer.wrong(f"a padding of {self._pad} reaches over a whole window of {self._kernel}")

    def forward(self, x: Tensor) -> Any:
        kernel = (x.shape[2], x.shape[3]) if self._over_all else self._kernel
        sizes = [
            pooled_size(side, *window, ceil=self._ceil)
            for side, window in zip(x.shape[2:], zip(kernel, self._stride, self._pad, strict=True), strict=True)
        ]
        if self._method == "MAX":
            found = self._maximum(x, kernel)
        elif self._method == "AVE":
            found = self._average(x, kernel)
        else:  # a random choice in proportion to the values, in expectation (Zeiler and Fergus, 2013)
            total = self._average(x, kernel)
            found = self._average(x * x, kernel) / total.clamp(min=1e-30)
        if isinstance(found, tuple):
            return tuple(part[:, :, : sizes[0], : sizes[1]] for part in found)
        return found if list(found.shape[2:]) == sizes else found[:, :, : sizes[0], : sizes[1]]

    def _maximum(self, x: Tensor, kernel: tuple[int, ...]) -> Any:
        pad = self._pad
        if any(side > window // 2 for side, window in zip(pad, kernel, strict=True)):  # which torch refuses
            x, pad = F.pad(x, (pad[1], pad[1], pad[0], pad[0]), value=-math.inf), (0, 0)
        if not self._masks:
            return F.max_pool2d(x, kernel, self._stride, pad, ceil_mode=self._ceil)
        found, places = F.max_pool2d(x, kernel, self._stride, pad, ceil_mode=self._ceil, return_indices=True)
        return found, places.to(x.dtype)

    def _average(self, x: Tensor, kernel: tuple[int, ...]) -> Tensor:
        if self._over_all:
            return x.mean((2, 3), keepdim=True)
        if self._pad != (0, 0):  # zeros of our own: ONNX Runtime counts those beyond the padding too
            x = F.pad(x, (self._pad[1], self._pad[1], self._pad[0], self._pad[0]))
        return F.avg_pool2d(x, kernel, self._stride, ceil_mode=self._ceil, count_include_pad=False)


@register("Pooling", message="pooling_param")
def pooling(spec: Spec) -> nn.Module:
    """(N, C, H, W) to (N, C, h, w); a second top is where each maximum was found."""
    return _Pooling(spec)


class _RoiPooling(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.bottoms(2)
        spec.dims(4)
        self._size = spec.number("pooled_h", 1, 1000), spec.number("pooled_w", 1, 1000)
        self._scale = spec.real("spatial_scale")

    def forward(self, x: Tensor, rois: Tensor) -> Tensor:
        if x.is_meta:
            return x.new_empty(rois.shape[0], x.shape[1], *self._size)
        from torchvision.ops import roi_pool  # 5 s to import: only where one is used

        found: Tensor = roi_pool(x, rois.flatten(1), self._size, self._scale)
        return found


@register("ROIPooling", message="roi_pooling_param")
def roi_pooling(spec: Spec) -> nn.Module:
    """Features (N, C, H, W) and boxes (R, 5), row and corners in pixels, to (R, C, h, w) (Girshick, 2015)."""
    return _RoiPooling(spec)


class _Upsample(nn.Module):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.bottoms(1, 2)
        spec.dims(4)
        self._scale = spec.number("scale", 1, 64)

    def forward(self, x: Tensor, places: Tensor | None = None) -> Tensor:
        height, width = x.shape[2] * self._scale, x.shape[3] * self._scale
        if places is None:
            return x.repeat_interleave(self._scale, 2).repeat_interleave(self._scale, 3)
        if x.is_meta:
            return x.new_empty(*x.shape[:2], height, width)
        return F.max_unpool2d(x, places.to(torch.int64), (self._scale, self._scale), output_size=(height, width))


@register("Upsample", message="upsample_param")
def upsample(spec: Spec) -> nn.Module:
    """(N, C, H, W) to `scale` times that: nearest neighbours, or zeros around where a pooling's mask says."""
    return _Upsample(spec)
