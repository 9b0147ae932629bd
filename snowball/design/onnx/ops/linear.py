"""Convolutions and products of matrices. N rows, C channels, spatial sides behind; D in, K out."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register
from ..values import as_tensor
from ._windows import Window

__all__ = ["convolution", "gemm", "matmul", "transposed_convolution"]

# each takes tuples of as many sides as it has
_CONVOLUTIONS: dict[int, Callable[..., nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
_TRANSPOSED: dict[int, Callable[..., nn.Module]] = {1: nn.ConvTranspose1d, 2: nn.ConvTranspose2d, 3: nn.ConvTranspose3d}
_FUNCTIONS: dict[int, Any] = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}


@register("Conv")
def convolution(spec: Spec) -> nn.Module:
    """A convolution, with groups and dilation; padding that is not the same on both sides goes before it."""
    spec.operand_counts(2, 3)
    x, kernel = spec.tensor(0), spec.tensor(1)
    window = Window(spec, kernel.shape[2:])
    dims = len(window.kernel)
    if dims not in _CONVOLUTIONS or x.dim() != dims + 2 or kernel.dim() != dims + 2:
        raise spec.node.wrong(f"pictures of {x.dim()} dimensions, kernels of {kernel.dim()}")
    groups = spec.number("group", 1, 1)
    stride, dilation = window.strides, window.dilations
    padding = window.even or (0,) * dims
    padded: nn.Module = nn.Identity() if window.even else Apply(window.padded)
    if (shape := spec.weight(1)) is None or (spec.has(2) and spec.weight(2) is None):
        function = _FUNCTIONS[dims]

        def computed(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Any:
            return function(padded(x), weight, bias, stride, padding, dilation, groups)

        return Apply(computed)
    if shape[1] * groups != x.shape[1]:
        raise spec.node.wrong(f"kernels for {shape[1] * groups} channels, {x.shape[1]} come")
    spec.take(1, "weight" if window.even else "1.weight")
    if spec.has(2):
        spec.take(2, "bias" if window.even else "1.bias")
    made = _CONVOLUTIONS[dims](
        shape[1] * groups,
        shape[0],
        shape[2:],
        stride,
        padding,
        dilation,
        groups,
        bias=spec.has(2),
    )
    return made if window.even else nn.Sequential(padded, made)


@register("ConvTranspose")
def transposed_convolution(spec: Spec) -> nn.Module:
    """A transposed convolution; sides that are cut unevenly are cut behind it."""
    spec.operand_counts(2, 3)
    x, kernel = spec.tensor(0), spec.tensor(1)
    spec.only("auto_pad", "NOTSET", "NOTSET", "VALID")
    if "output_shape" in spec:
        raise spec.node.wrong("output_shape is not read")
    window = Window(spec, kernel.shape[2:])
    dims = len(window.kernel)
    if (shape := spec.weight(1)) is None or dims not in _TRANSPOSED or x.dim() != dims + 2:
        raise spec.node.wrong("its kernels are computed, or of other dimensions")
    groups = spec.number("group", 1, 1)
    added = tuple(spec.numbers("output_padding", 0, 1000)) or (0,) * dims
    if len(added) != dims:
        raise spec.node.wrong(f"output_padding of {len(added)} sides")
    if window.even is None:
        raise spec.node.wrong("pads that differ between the two sides are not read")
    spec.take(1, "weight")
    if spec.has(2):
        spec.take(2, "bias")
    return _TRANSPOSED[dims](
        shape[0],
        shape[1] * groups,
        shape[2:],
        window.strides,
        window.even,
        added,
        groups,
        bias=spec.has(2),
        dilation=window.dilations,
    )


@register("Gemm")
def gemm(spec: Spec) -> nn.Module:
    """A matrix product with a bias: a linear layer where its matrix is a weight."""
    spec.operand_counts(2, 3)
    alpha, beta = spec.real("alpha", 1.0), spec.real("beta", 1.0)
    first, second = spec.flag("transA"), spec.flag("transB")
    shape = spec.weight(1)
    bias = spec.weight(2)
    plain = alpha == 1.0 and (beta == 1.0 or not spec.has(2)) and not first
    outputs = shape[0 if second else 1] if shape is not None and len(shape) == 2 else 0
    if plain and outputs and (not spec.has(2) or (bias is not None and bias in ((outputs,), (1, outputs)))):
        assert shape is not None
        spec.take(1, "weight", None if second else _transposed)
        if spec.has(2):
            spec.take(2, "bias", _flat)
        return nn.Linear(shape[1 if second else 0], outputs, bias=spec.has(2))

    def product(x: Tensor, matrix: Tensor, added: Any = None) -> Tensor:
        x, matrix = x.mT if first else x, matrix.mT if second else matrix
        found = alpha * (x @ matrix)
        return found if added is None else found + beta * as_tensor(added, found)

    return Apply(product)


@register("MatMul")
def matmul(spec: Spec) -> nn.Module:
    """A product of matrices; by a matrix of weights it is a linear layer, whose bias may come as a third operand."""
    spec.operand_counts(2, 3)
    shape = spec.weight(1)
    if shape is not None and len(shape) == 2:
        spec.take(1, "weight", _transposed)
        if spec.has(2):
            spec.take(2, "bias", _flat)
        return nn.Linear(shape[0], shape[1], bias=spec.has(2))
    return Apply(torch.matmul)


def _transposed(value: Tensor) -> Tensor:
    return value.t()


def _flat(value: Tensor) -> Tensor:
    return value.reshape(-1)
