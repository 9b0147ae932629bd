"""Convolutions over one to three sides: plain, depthwise, separable, transposed. N rows, C channels.

`same` means that windows begin wherever a multiple of the stride lies, with the padding shared out, what is odd of it
behind: it depends on the size of the picture, as in TensorFlow.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from math import prod
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from ..activations import read_activation
from ..registry import Spec, register
from ..weighted import KerasModule, Shape, Variable

__all__ = [
    "ChannelsFirst",
    "convolution",
    "depthwise",
    "num_sides",
    "pad_sides",
    "same_padding",
    "separable",
    "transposed",
]

CONVOLVE: Sequence[Any] = (F.conv1d, F.conv2d, F.conv3d)
TRANSPOSED: Sequence[Any] = (F.conv_transpose1d, F.conv_transpose2d, F.conv_transpose3d)

MAX_PADDING = 2**26  # numbers that are put around one picture, or cut off


def same_padding(side: int, window: int, stride: int) -> tuple[int, int]:
    """(before, after) of a side, so that there are ceil(side / stride) windows.

    >>> same_padding(28, 3, 1), same_padding(28, 3, 2), same_padding(28, 2, 2), same_padding(5, 4, 1)
    ((1, 1), (0, 1), (0, 0), (1, 2))
    """
    total = max((-(-side // stride) - 1) * stride + window - side, 0)
    return total // 2, total - total // 2


def pad_sides(x: Tensor, pairs: Sequence[tuple[int, int]], value: float = 0.0) -> Tensor:
    """Pad the sides of (N, C, sides...), (before, after) for each in their order; negative ones cut off."""
    if not any(side for pair in pairs for side in pair):
        return x
    sides = [side + sum(pair) for side, pair in zip(x.shape[2:], pairs, strict=True)]
    if x.shape[1] * abs(prod(sides) - prod(x.shape[2:])) > MAX_PADDING:
        raise ValueError(f"{' x '.join(map(str, x.shape[2:]))} become {' x '.join(map(str, sides))}")
    return F.pad(x, [side for pair in reversed(pairs) for side in pair], value=value)


class ChannelsFirst(KerasModule, ABC):
    """A layer that works on (N, C, sides...), whichever way Keras has them."""

    def __init__(self, spec: Spec, dims: int) -> None:
        super().__init__()
        spec.inputs(1)
        spec.dims(dims + 2)
        self._moves = spec.channels_last()
        shape = spec.shapes[0]
        self.channels = shape[-1] if self._moves else shape[1]

    @abstractmethod
    def inner(self, x: Tensor) -> Tensor:
        """(N, C, sides...) to the same."""

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x.movedim(-1, 1)).movedim(1, -1) if self._moves else self.inner(x)


class _Convolution(ChannelsFirst):
    kernel: nn.Parameter
    depthwise_kernel: nn.Parameter
    pointwise_kernel: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, spec: Spec, dims: int) -> None:
        super().__init__(spec, dims)
        self._dims = dims
        self._size = spec.sides("kernel_size", dims)
        self._stride = spec.sides("strides", dims, 1)
        self._dilation = spec.sides("dilation_rate", dims, 1)
        if prod(self._size) > 2**28:
            raise spec.layer.wrong(f"kernel_size is {self._size}")
        choices = ("valid", "same", "causal") if dims == 1 else ("valid", "same")
        self._padding = spec.word("padding", choices)
        self.activation = read_activation(spec)
        self._groups = 1

    def _add_bias(self, spec: Spec, channels: int) -> None:
        if spec.flag("use_bias", True):
            self.add_variables([Variable("bias", (channels,))])

    def _pairs(self, x: Tensor) -> list[tuple[int, int]]:
        windows = [(size - 1) * step + 1 for size, step in zip(self._size, self._dilation, strict=True)]
        if self._padding == "valid":
            return []
        if self._padding == "causal":
            return [(windows[0] - 1, 0)]
        return [same_padding(*side) for side in zip(x.shape[2:], windows, self._stride, strict=True)]

    def _convolve(self, x: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
        pairs = self._pairs(x)
        even = [before for before, after in pairs if before == after]
        padding: Any = 0
        if pairs and len(even) == len(pairs):
            padding = even
        else:
            x = pad_sides(x, pairs)
        found: Tensor = CONVOLVE[self._dims - 1](x, kernel, bias, self._stride, padding, self._dilation, self._groups)
        return found

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(super().forward(x))


class _Plain(_Convolution):
    def __init__(self, spec: Spec, dims: int) -> None:
        super().__init__(spec, dims)
        filters, self._groups = spec.integer("filters"), spec.integer("groups", 1)
        if self.channels % self._groups or filters % self._groups:
            raise spec.layer.wrong(f"groups is {self._groups}, for {self.channels} channels and {filters} filters")
        shape = (*self._size, self.channels // self._groups, filters)
        self.add_variables([Variable("kernel", shape, _out_first(dims))])
        self._add_bias(spec, filters)

    def inner(self, x: Tensor) -> Tensor:
        return self._convolve(x, self.kernel, self.bias)


class _Depthwise(_Convolution):
    """One filter for each channel, `depth_multiplier` times; with `pointwise`, a product over the channels behind."""

    def __init__(self, spec: Spec, dims: int, pointwise: bool) -> None:
        super().__init__(spec, dims)
        times = spec.integer("depth_multiplier", 1)
        spec.integer("groups", 1, 1, 1)
        self._groups, made = self.channels, self.channels * times
        name = "depthwise_kernel" if pointwise else "kernel"
        first = (*self._size, self.channels, times)
        order = (dims, dims + 1, *range(dims))
        self.add_variables([Variable(name, first, order, called="depthwise_kernel")], [(made, 1, *self._size)])
        self._pointwise = pointwise
        if pointwise:
            filters = spec.integer("filters")
            shape = (*(1,) * dims, made, filters)
            self.add_variables([Variable("pointwise_kernel", shape, _out_first(dims))])
            self._add_bias(spec, filters)
        else:
            self._add_bias(spec, made)

    def inner(self, x: Tensor) -> Tensor:
        if not self._pointwise:
            return self._convolve(x, self.kernel, self.bias)
        found: Tensor = CONVOLVE[self._dims - 1](
            self._convolve(x, self.depthwise_kernel, None), self.pointwise_kernel, self.bias
        )
        return found


class _Transposed(_Convolution):
    """The gradient of a convolution: of a `same` one that would make this layer's input of its output."""

    def __init__(self, spec: Spec, dims: int) -> None:
        super().__init__(spec, dims)
        filters = spec.integer("filters")
        spec.integer("groups", 1, 1, 1)  # Keras 2 writes it, and has no other
        extra = spec.said("output_padding")
        self._extra = None if extra is None else spec.sides("output_padding", dims, low=0)
        if self._padding == "causal":
            raise spec.layer.wrong("padding is causal: valid, same is possible")
        if any(step > 1 for step in self._dilation) and any(step > 1 for step in self._stride):
            raise spec.layer.wrong("strides and dilation_rate are both above 1")
        self.add_variables([Variable("kernel", (*self._size, filters, self.channels), _out_first(dims))])
        self._add_bias(spec, filters)

    def _cut(self, side: int, axis: int) -> tuple[int, int]:
        """What is added before and behind a side of the whole product; negative: cut off."""
        window = (self._size[axis] - 1) * self._dilation[axis] + 1
        stride = self._stride[axis]
        whole = (side - 1) * stride + window
        same = self._padding == "same"
        if self._extra is None:
            length = side * stride if same else side * stride + max(window - stride, 0)
        else:
            length = whole + self._extra[axis] - (2 * (window // 2) if same else 0)
        before = max(whole - length, 0) // 2 if same else 0
        return -before, length - whole + before

    def inner(self, x: Tensor) -> Tensor:
        whole = TRANSPOSED[self._dims - 1](x, self.kernel, None, self._stride, dilation=self._dilation)
        found = pad_sides(whole, [self._cut(side, axis) for axis, side in enumerate(x.shape[2:])])
        return found if self.bias is None else found + self.bias.view(-1, *(1,) * self._dims)


def _out_first(dims: int) -> Shape:
    """Keras's (sides..., in, out) to PyTorch's (out, in, sides...)."""
    return (dims + 1, dims, *range(dims))


def num_sides(spec: Spec) -> int:
    """Conv2D -> 2."""
    return int(next(letter for letter in spec.layer.type if letter.isdigit()))


@register("Conv1D", "Conv2D", "Conv3D")
def convolution(spec: Spec) -> KerasModule:
    """(N, sides..., C) to (N, sides..., filters)."""
    return _Plain(spec, num_sides(spec))


@register("DepthwiseConv1D", "DepthwiseConv2D")
def depthwise(spec: Spec) -> KerasModule:
    """(N, sides..., C) to (N, sides..., C * depth_multiplier)."""
    return _Depthwise(spec, num_sides(spec), pointwise=False)


@register("SeparableConv1D", "SeparableConv2D")
def separable(spec: Spec) -> KerasModule:
    """(N, sides..., C) to (N, sides..., filters)."""
    return _Depthwise(spec, num_sides(spec), pointwise=True)


@register("Conv1DTranspose", "Conv2DTranspose", "Conv3DTranspose")
def transposed(spec: Spec) -> KerasModule:
    """(N, sides..., C) to (N, larger sides..., filters)."""
    return _Transposed(spec, num_sides(spec))
