"""Layers that multiply: convolutions, products, embeddings. N rows, C channels, H, W, K inputs, O outputs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import Weighted

__all__ = ["convolution", "deconvolution", "embed", "inner_product"]

MAX_SIDE = 100_000  # of a kernel, a stride or a padding: no picture is larger


def _fillers(spec: Spec) -> dict[str, Mapping[str, Any]]:
    said = spec._said
    return {"weight": said.get("weight_filler", {}), "bias": said.get("bias_filler", {})}


def _sides(spec: Spec, name: str, dims: int, default: int, low: int = 0) -> tuple[int, ...]:
    """`kernel_size`, `kernel_size: h kernel_size: w`, or `kernel_h` and `kernel_w`."""
    short = {"kernel_size": "kernel"}.get(name, name)
    if f"{short}_h" in spec or f"{short}_w" in spec:
        if dims != 2 or spec.numbers(name):
            raise spec.layer.wrong(f"{name} is said twice, or {short}_h for other than two dimensions")
        return spec.number(f"{short}_h", low, MAX_SIDE), spec.number(f"{short}_w", low, MAX_SIDE)
    said = spec.numbers(name, low, MAX_SIDE)
    if len(said) not in (0, 1, dims):
        raise spec.layer.wrong(f"{len(said)} times {name} for {dims} dimensions")
    return tuple(said) if len(said) == dims else tuple(said or [default]) * dims


class _Convolution(Weighted):
    def __init__(self, spec: Spec, *, transposed: bool) -> None:
        if not spec.shapes:
            spec.bottoms(1)
        spec.dims(3, 5)
        if spec.axis(spec.number("axis")) != 1:
            raise spec.layer.wrong("axis is not 1: only convolutions over channels are known")
        channels, dims = spec.shapes[0][1], len(spec.shapes[0]) - 2
        outputs, groups = spec.number("num_output", 1), spec.number("group", 1)
        if channels % groups or outputs % groups:
            raise spec.layer.wrong(f"{channels} channels to {outputs} do not share out among {groups} groups")
        kernel = _sides(spec, "kernel_size", dims, 0, 1)
        if 0 in kernel:
            raise spec.layer.wrong("kernel_size is missing")
        first, second = (channels, outputs) if transposed else (outputs, channels)
        shapes: dict[str, tuple[int, ...]] = {"weight": (first, second // groups, *kernel)}
        if spec.flag("bias_term"):
            shapes["bias"] = (outputs,)
        super().__init__(shapes, _fillers(spec))
        stride, pad = _sides(spec, "stride", dims, 1, 1), _sides(spec, "pad", dims, 0)
        dilation = spec.numbers("dilation", 1, MAX_SIDE)
        if len(dilation) not in (0, 1, dims):
            raise spec.layer.wrong(f"{len(dilation)} times dilation for {dims} dimensions")
        self._settings = {
            "stride": stride,
            "padding": pad,
            "dilation": tuple(dilation) if len(dilation) == dims else tuple(dilation or [1]) * dims,
            "groups": groups,
        }
        plain = (F.conv1d, F.conv2d, F.conv3d)
        turned = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)
        self._function: Callable[..., Tensor] = (turned if transposed else plain)[dims - 1]

    def forward(self, *bottoms: Tensor) -> Any:
        bias = getattr(self, "bias", None)
        found = tuple(self._function(bottom, self.weight, bias, **self._settings) for bottom in bottoms)
        return found[0] if len(found) == 1 else found


@register("Convolution", "ConvolutionDepthwise", "DepthwiseConvolution", message="convolution_param")
def convolution(spec: Spec) -> nn.Module:
    """(N, C, ...) to (N, O, ...): one to three dimensions, groups, dilation; the same weights for several bottoms."""
    return _Convolution(spec, transposed=False)


@register("Deconvolution", message="convolution_param")
def deconvolution(spec: Spec) -> nn.Module:
    """The transposed convolution: its weights are (C, O / groups, ...)."""
    return _Convolution(spec, transposed=True)


class _InnerProduct(Weighted):
    weight: nn.Parameter

    def __init__(self, spec: Spec) -> None:
        spec.bottoms(1)
        axis, transposed = spec.axis(spec.number("axis")), spec.flag("transpose")
        inputs, outputs = prod(spec.shapes[0][axis:]), spec.number("num_output", 1)
        shapes: dict[str, tuple[int, ...]] = {"weight": (inputs, outputs) if transposed else (outputs, inputs)}
        if spec.flag("bias_term"):
            shapes["bias"] = (outputs,)
        super().__init__(shapes, _fillers(spec))
        self._axis, self._transposed = axis, transposed

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight.T if self._transposed else self.weight
        return F.linear(x.flatten(self._axis), weight, getattr(self, "bias", None))


@register("InnerProduct", message="inner_product_param")
def inner_product(spec: Spec) -> nn.Module:
    """All dimensions from `axis` on, as K numbers, to O."""
    return _InnerProduct(spec)


class _Embed(Weighted):
    weight: nn.Parameter

    def __init__(self, spec: Spec) -> None:
        spec.bottoms(1)
        words, outputs = spec.number("input_dim", 1), spec.number("num_output", 1)
        shapes: dict[str, tuple[int, ...]] = {"weight": (words, outputs)}
        if spec.flag("bias_term"):
            shapes["bias"] = (outputs,)
        super().__init__(shapes, _fillers(spec))

    def forward(self, x: Tensor) -> Tensor:
        found = F.embedding(x.long(), self.weight)
        bias: Tensor | None = getattr(self, "bias", None)
        return found if bias is None else found + bias


@register("Embed", message="embed_param")
def embed(spec: Spec) -> nn.Module:
    """Whole numbers (...) to vectors (..., O)."""
    return _Embed(spec)
