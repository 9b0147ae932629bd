"""Normalisation. N rows, C channels, spatial sides behind."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register

__all__ = ["batch_normalisation", "group_normalisation", "layer_normalisation", "local_response"]

_BATCH = {2: nn.BatchNorm1d, 3: nn.BatchNorm1d, 4: nn.BatchNorm2d, 5: nn.BatchNorm3d}
_INSTANCE = {3: nn.InstanceNorm1d, 4: nn.InstanceNorm2d, 5: nn.InstanceNorm3d}


@register("BatchNormalization")
def batch_normalisation(spec: Spec) -> nn.Module:
    """By the statistics in the file; in training by the batch's, which are learned as PyTorch does."""
    spec.operand_counts(5)
    x = spec.tensor(0)
    shapes = [spec.weight(number) for number in range(1, 5)]
    if x.dim() not in _BATCH or any(shape != (x.shape[1],) for shape in shapes):
        raise spec.node.wrong(f"scale, bias, mean and variance are not {x.shape[1] if x.dim() > 1 else 0} weights each")
    spec.only("spatial", 1, 1)
    for number, name in enumerate(("weight", "bias", "running_mean", "running_var"), 1):
        spec.take(number, name)
    return _BATCH[x.dim()](x.shape[1], spec.real("epsilon", 1e-5), 1 - spec.real("momentum", 0.9))


@register("InstanceNormalization")
def _instance_normalisation(spec: Spec) -> nn.Module:
    spec.operand_counts(3)
    x = spec.tensor(0)
    if x.dim() not in _INSTANCE or any(spec.weight(number) != (x.shape[1],) for number in (1, 2)):
        raise spec.node.wrong("its scale and bias are not a weight for each channel")
    spec.take(1, "weight")
    spec.take(2, "bias")
    return _INSTANCE[x.dim()](x.shape[1], spec.real("epsilon", 1e-5), affine=True)


@register("LayerNormalization")
def layer_normalisation(spec: Spec) -> nn.Module:
    """Over the dimensions from `axis` on."""
    spec.operand_counts(2, 3)
    x = spec.tensor(0)
    shape = tuple(x.shape[spec.axis(spec.number("axis", -1), x.dim()) :])
    bias = spec.has(2)
    if spec.weight(1) != shape or (bias and spec.weight(2) != shape):
        axes, epsilon = len(shape), spec.real("epsilon", 1e-5)

        def computed(x: Tensor, scale: Tensor, added: Tensor | None = None) -> Tensor:
            found = F.layer_norm(x, x.shape[-axes:], eps=epsilon) * scale
            return found if added is None else found + added

        return Apply(computed)
    spec.take(1, "weight")
    if bias:
        spec.take(2, "bias")
    return nn.LayerNorm(shape, spec.real("epsilon", 1e-5), bias=bias)


@register("GroupNormalization")
def group_normalisation(spec: Spec) -> nn.Module:
    """With a scale and a bias for each channel, as of opset 21."""
    spec.operand_counts(3)
    x = spec.tensor(0)
    if x.dim() < 3 or any(spec.weight(number) != (x.shape[1],) for number in (1, 2)):
        raise spec.node.wrong("its scale and bias are not a weight for each channel")
    spec.take(1, "weight")
    spec.take(2, "bias")
    return nn.GroupNorm(spec.number("num_groups", None, 1), x.shape[1], spec.real("epsilon", 1e-5))


@register("LRN")
def local_response(spec: Spec) -> nn.Module:
    """Local response normalisation over neighbouring channels (Krizhevsky et al., 2012, section 3.3)."""
    spec.operand_counts(1)
    size = spec.number("size", None, 1, 1000)
    alpha, beta, bias = spec.real("alpha", 1e-4), spec.real("beta", 0.75), spec.real("bias", 1.0)
    before = (size - 1) // 2
    if spec.tensor().dim() < 3:
        raise spec.node.wrong("its input has no channels and sides")

    def normalise(x: Tensor) -> Tensor:
        squares = F.pad(x.square().flatten(2)[:, None], (0, 0, before, size - 1 - before))  # (N, 1, C + size - 1, S)
        near: Tensor = F.avg_pool2d(squares, (size, 1), 1)[:, 0].reshape(x.shape)
        return x / (bias + alpha * near).pow(beta)

    return Apply(normalise)


@register("LpNormalization")
def _lp(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    axis, p = spec.number("axis", -1), spec.number("p", 2, 1, 2)
    return Apply(lambda x: F.normalize(x, p, axis, eps=0.0))


@register("MeanVarianceNormalization")
def _mean_variance(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    axes = spec.numbers("axes") or [0, 2, 3]

    def normalise(x: Tensor) -> Any:
        var, mean = torch.var_mean(x, axes, correction=0, keepdim=True)
        return (x - mean) / (var.sqrt() + 1e-9)

    return Apply(normalise)
