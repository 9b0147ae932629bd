"""Functions of each number by itself, and softmax."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register
from ..values import numbers_of

__all__ = ["clip", "gelu", "softmax"]

_PLAIN: dict[str, Callable[[], nn.Module]] = {
    "Relu": nn.ReLU,
    "Sigmoid": nn.Sigmoid,
    "Tanh": nn.Tanh,
    "HardSwish": nn.Hardswish,
    "Softplus": nn.Softplus,
    "Softsign": nn.Softsign,
    "Mish": nn.Mish,
    "Erf": lambda: Apply(torch.erf),
}


def _plain(name: str) -> Callable[[Spec], nn.Module]:
    def build(spec: Spec) -> nn.Module:
        spec.operand_counts(1)
        return _PLAIN[name]()

    return build


for _name in _PLAIN:
    register(_name)(_plain(_name))


@register("LeakyRelu")
def _leaky_relu(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    return nn.LeakyReLU(spec.real("alpha", 0.01))


@register("PRelu")
def _prelu(spec: Spec) -> nn.Module:
    spec.operand_counts(2)
    return Apply(lambda x, slope: torch.where(x < 0, x * slope, x))


@register("Elu")
def _elu(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    return nn.ELU(spec.real("alpha", 1.0))


@register("Selu")
def _selu(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    alpha, gamma = spec.real("alpha", 1.67326319217681884765625), spec.real("gamma", 1.05070102214813232421875)
    return Apply(lambda x: gamma * F.elu(x, alpha))


@register("Celu")
def _celu(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    return nn.CELU(spec.real("alpha", 1.0))


@register("ThresholdedRelu")
def _thresholded(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    alpha = spec.real("alpha", 1.0)
    return Apply(lambda x: torch.where(x > alpha, x, 0.0))


@register("HardSigmoid")
def _hard_sigmoid(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    alpha, beta = spec.real("alpha", 0.2), spec.real("beta", 0.5)
    return Apply(lambda x: (alpha * x + beta).clamp(0, 1))


@register("Swish")
def _swish(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    alpha = spec.real("alpha", 1.0)
    return Apply(lambda x: x * torch.sigmoid(alpha * x))


@register("Gelu")
def gelu(spec: Spec) -> nn.Module:
    """The Gaussian error unit, exact or by its tanh approximation."""
    spec.operand_counts(1)
    return nn.GELU(spec.word("approximate", "none", "none", "tanh"))


@register("Clip")
def clip(spec: Spec) -> nn.Module:
    """Between two bounds, attributes before opset 11, operands since; either may be left out."""
    spec.operand_counts(1, 3)
    said = [spec.real(name, 0.0) if name in spec else None for name in ("min", "max")]

    def cut(x: Any, low: Any = None, high: Any = None) -> Any:
        bounds = [bound if given is None else _bound(given) for bound, given in zip(said, (low, high), strict=True)]
        return x.clamp(*bounds) if bounds != [None, None] else x

    return Apply(cut)


def _bound(value: Any) -> Any:
    return value if isinstance(value, Tensor) else numbers_of(value)[0]


@register("Softmax", "LogSoftmax")
def softmax(spec: Spec) -> nn.Module:
    """Over one axis since opset 13; before that over all dimensions from `axis` on together."""
    spec.operand_counts(1)
    dims = spec.tensor().dim()
    axis = spec.axis(spec.number("axis", -1 if spec.opset >= 13 else 1), dims)
    function: Any = torch.softmax if spec.node.op == "Softmax" else torch.log_softmax
    if spec.opset >= 13 or axis == dims - 1:
        return Apply(lambda x: function(x, axis))
    return Apply(lambda x: function(x.flatten(axis), axis).reshape(x.shape))
