"""Layers that treat every number alike, or combine blobs number by number."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import Apply, Weighted

__all__ = ["dropout", "eltwise", "prelu"]


def _one(kind: str, message: str = "") -> Callable[[Callable[[Spec], Callable[[Tensor], Tensor]]], object]:
    """Register a function of one bottom."""

    def keep(make: Callable[[Spec], Callable[[Tensor], Tensor]]) -> object:
        def build(spec: Spec) -> nn.Module:
            spec.bottoms(1)
            return Apply(make(spec))

        return register(kind, message=message)(build)

    return keep


@_one("ReLU", "relu_param")
def _relu(spec: Spec) -> Callable[[Tensor], Tensor]:
    slope = spec.real("negative_slope")
    return (lambda x: F.leaky_relu(x, slope)) if slope else F.relu


@_one("ReLU6")
def _relu6(spec: Spec) -> Callable[[Tensor], Tensor]:
    return F.relu6


@_one("ELU", "elu_param")
def _elu(spec: Spec) -> Callable[[Tensor], Tensor]:
    alpha = spec.real("alpha")
    return lambda x: F.elu(x, alpha)


@_one("Sigmoid", "sigmoid_param")
def _sigmoid(spec: Spec) -> Callable[[Tensor], Tensor]:
    return torch.sigmoid


@_one("TanH", "tanh_param")
def _tanh(spec: Spec) -> Callable[[Tensor], Tensor]:
    return torch.tanh


@_one("AbsVal")
def _absval(spec: Spec) -> Callable[[Tensor], Tensor]:
    return torch.abs


@_one("BNLL")
def _bnll(spec: Spec) -> Callable[[Tensor], Tensor]:
    return lambda x: F.relu(x) + torch.log1p(torch.exp(-x.abs()))  # log(1 + e^x)


@_one("Swish", "swish_param")
def _swish(spec: Spec) -> Callable[[Tensor], Tensor]:
    beta = spec.real("beta")
    return lambda x: x * torch.sigmoid(beta * x)


@_one("Clip", "clip_param")
def _clip(spec: Spec) -> Callable[[Tensor], Tensor]:
    low, high = spec.real("min"), spec.real("max")
    return lambda x: x.clamp(low, high)


@_one("Threshold", "threshold_param")
def _threshold(spec: Spec) -> Callable[[Tensor], Tensor]:
    least = spec.real("threshold")
    return lambda x: (x > least).to(x.dtype)


@_one("Power", "power_param")
def _power(spec: Spec) -> Callable[[Tensor], Tensor]:
    power, scale, shift = spec.real("power"), spec.real("scale"), spec.real("shift")

    def raise_(x: Tensor) -> Tensor:
        x = x * scale if scale != 1 else x
        x = x + shift if shift else x
        return x if power == 1 else x**power

    return raise_


def _base(spec: Spec) -> float:
    """The natural logarithm of the base; -1 stands for e."""
    base = spec.real("base")
    if base == -1:
        return 1.0
    if base <= 0 or base == 1:
        raise spec.layer.wrong(f"a base of {base:g}: -1 for e, or a number above 0 other than 1, is possible")
    return math.log(base)


@_one("Exp", "exp_param")
def _exp(spec: Spec) -> Callable[[Tensor], Tensor]:
    base, scale, shift = _base(spec), spec.real("scale"), spec.real("shift")
    return lambda x: torch.exp((x * scale + shift) * base)


@_one("Log", "log_param")
def _log(spec: Spec) -> Callable[[Tensor], Tensor]:
    base, scale, shift = _base(spec), spec.real("scale"), spec.real("shift")
    return lambda x: torch.log(x * scale + shift) / base


@register("Dropout", message="dropout_param")
def dropout(spec: Spec) -> nn.Module:
    """Nothing outside training, and in training what is left is scaled up, as in Caffe."""
    spec.bottoms(1)
    ratio = spec.real("dropout_ratio")
    if not 0 <= ratio < 1:
        raise spec.layer.wrong(f"dropout_ratio is {ratio:g}: 0 to 1 is possible")
    return nn.Dropout(ratio)


class _PReLU(Weighted):
    weight: nn.Parameter

    def __init__(self, spec: Spec) -> None:
        spec.bottoms(1)
        spec.dims(2, 5)
        shape = () if spec.flag("channel_shared") else (spec.shapes[0][1],)
        super().__init__({"weight": shape}, {"weight": spec._said.get("filler", {"value": 0.25})})

    def forward(self, x: Tensor) -> Tensor:
        return F.prelu(x, self.weight.reshape(-1))


@register("PReLU", message="prelu_param")
def prelu(spec: Spec) -> nn.Module:
    """A slope below 0 for each channel, or one for all (He et al., 2015)."""
    return _PReLU(spec)


@register("Eltwise", message="eltwise_param")
def eltwise(spec: Spec) -> nn.Module:
    """The sum, product or maximum of blobs of one shape; sums may have coefficients."""
    spec.bottoms(2, 1000)
    if len(set(spec.shapes)) > 1:
        raise spec.layer.wrong(f"bottoms of different shapes: {', '.join(str(shape) for shape in spec.shapes)}")
    operation, shares = spec.word("operation"), spec.reals("coeff")
    if shares and (operation != "SUM" or len(shares) != len(spec.shapes)):
        raise spec.layer.wrong(f"{len(shares)} coefficients for the {operation} of {len(spec.shapes)} bottoms")
    if operation == "PROD":
        return Apply(lambda *bottoms: reduce(torch.mul, bottoms))
    if operation == "MAX":
        return Apply(lambda *bottoms: reduce(torch.maximum, bottoms))

    def add(*bottoms: Tensor) -> Tensor:
        scaled = [b if c == 1 else b * c for b, c in zip(bottoms, shares or [1] * len(bottoms), strict=True)]
        return reduce(torch.add, scaled)

    return Apply(add)
