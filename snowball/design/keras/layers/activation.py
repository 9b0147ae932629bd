"""Activations that are layers of their own."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..activations import SOFTMAX, read_activation
from ..registry import Spec, register
from ..weighted import Apply, KerasModule, Variable

__all__ = ["activation", "elu", "leaky_relu", "prelu", "relu", "softmax"]


class _Activation(KerasModule):
    """A function by its name, where a classifier's softmax can be taken off."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        self.activation = read_activation(spec)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x)


class _Softmax(KerasModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        axes = spec.axes("axis")
        if len(axes) != 1:
            raise spec.layer.wrong("a softmax over several axes")
        (axis,) = axes
        self.activation = SOFTMAX if axis == len(spec.shapes[0]) - 1 else lambda x: x.softmax(axis)

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(x)


class _PReLU(KerasModule):
    alpha: nn.Parameter

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        shape = spec.shapes[0]
        shared = spec.axes("shared_axes") if spec.said("shared_axes") else []
        self.add_variables(
            [Variable("alpha", tuple(1 if axis in shared else side for axis, side in enumerate(shape) if axis))]
        )

    def forward(self, x: Tensor) -> Tensor:
        return torch.where(x > 0, x, self.alpha * x)


@register("Activation")
def activation(spec: Spec) -> KerasModule:
    """A function by its name."""
    return _Activation(spec)


@register("Softmax")
def softmax(spec: Spec) -> KerasModule:
    """Shares that add up to 1 over an axis."""
    return _Softmax(spec)


@register("PReLU")
def prelu(spec: Spec) -> KerasModule:
    """A ReLU with a slope that was learned for each number (He et al., 2015)."""
    return _PReLU(spec)


@register("ReLU")
def relu(spec: Spec) -> KerasModule:
    """x from `threshold` on, no more than `max_value`; below, `negative_slope` times what is missing."""
    spec.inputs(1)
    slope, threshold = spec.real("negative_slope", 0.0), spec.real("threshold", 0.0)
    most = spec.said("max_value")
    highest = float("inf") if most is None else spec.real("max_value")

    def apply(x: Tensor) -> Tensor:
        if not threshold:
            return F.leaky_relu(x, slope).clamp(max=highest)
        return torch.where(x >= threshold, x.clamp(max=highest), slope * (x - threshold))

    return Apply(apply)


@register("LeakyReLU")
def leaky_relu(spec: Spec) -> KerasModule:
    """`negative_slope`, called `alpha` before Keras 3, times what is below 0."""
    spec.inputs(1)
    slope = spec.real("alpha" if "alpha" in spec.layer.config else "negative_slope", 0.3)
    return Apply(lambda x: F.leaky_relu(x, slope))


@register("ELU")
def elu(spec: Spec) -> KerasModule:
    """Exponential below 0 (Clevert et al., 2015)."""
    spec.inputs(1)
    alpha = spec.real("alpha", 1.0)
    return Apply(lambda x: F.elu(x, alpha))
