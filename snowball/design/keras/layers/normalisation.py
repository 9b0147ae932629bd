"""Normalisation over a batch, over a row's axes, over groups of channels, and to length 1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import KerasModule, Shape, Variable

__all__ = ["batch_normalization", "group_normalization", "layer_normalization", "unit_normalization"]


class _Scaled(KerasModule):
    """Has gamma where `scale` says so, and beta where `center` does."""

    optional: ClassVar[tuple[str, ...]] = ("gamma", "beta")
    gamma: nn.Parameter | None
    beta: nn.Parameter | None

    def __init__(self, spec: Spec, shape: Shape) -> None:
        super().__init__()
        spec.inputs(1)
        self._epsilon = spec.real("epsilon", 1e-3)
        names = [name for name, key in (("gamma", "scale"), ("beta", "center")) if spec.flag(key, True)]
        self.add_variables(Variable(name, shape) for name in names)


class _Batch(_Scaled):
    moving_mean: Tensor
    moving_variance: Tensor

    def __init__(self, spec: Spec) -> None:
        (self_axis,) = _one(spec, spec.axes("axis"))
        shape = (spec.shapes[0][self_axis],)
        super().__init__(spec, shape)
        self._axis = self_axis
        self._momentum = 1 - spec.real("momentum", 0.99)
        if spec.flag("renorm") or spec.flag("fused_renorm"):
            raise spec.layer.wrong("renorm is not read")
        for key in ("fused", "renorm_clipping", "renorm_momentum"):
            spec.said(key)
        self.add_variables(Variable(f"moving_{name}", shape, trains=False) for name in ("mean", "variance"))

    def forward(self, x: Tensor) -> Tensor:
        found = F.batch_norm(
            x.movedim(self._axis, 1),
            self.moving_mean,
            self.moving_variance,
            self.gamma,
            self.beta,
            self.training,
            self._momentum,
            self._epsilon,
        )
        return found.movedim(1, self._axis)


class _Layer(_Scaled):
    def __init__(self, spec: Spec) -> None:
        axes = sorted(spec.axes("axis"))
        super().__init__(spec, tuple(spec.shapes[0][axis] for axis in axes))
        if spec.flag("rms_scaling"):
            raise spec.layer.wrong("rms_scaling is not read")
        self._axes = axes
        self._view = tuple(side if axis in axes else 1 for axis, side in enumerate(spec.shapes[0]))

    def forward(self, x: Tensor) -> Tensor:
        variance, mean = torch.var_mean(x, self._axes, correction=0, keepdim=True)
        found = (x - mean) * (variance + self._epsilon).rsqrt()
        if self.gamma is not None:
            found = found * self.gamma.view(self._view)
        return found if self.beta is None else found + self.beta.view(self._view)


class _Group(_Scaled):
    def __init__(self, spec: Spec) -> None:
        (axis,) = _one(spec, spec.axes("axis"))
        channels = spec.shapes[0][axis]
        super().__init__(spec, (channels,))
        self._axis = axis
        groups = spec.integer("groups", 32, -1)
        self._groups = channels if groups == -1 else groups
        if not self._groups or channels % self._groups:
            raise spec.layer.wrong(f"groups is {groups}, for {channels} channels")

    def forward(self, x: Tensor) -> Tensor:
        found = F.group_norm(x.movedim(self._axis, 1), self._groups, self.gamma, self.beta, self._epsilon)
        return found.movedim(1, self._axis)


class _Unit(KerasModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        self._axes = spec.axes("axis")

    def forward(self, x: Tensor) -> Tensor:
        return x * (x * x).sum(self._axes, keepdim=True).clamp(min=1e-24).rsqrt()


def _one(spec: Spec, axes: Sequence[int]) -> Sequence[int]:
    if len(axes) != 1:
        raise spec.layer.wrong(f"{len(axes)} axes, one is possible")
    return axes


@register("BatchNormalization", "BatchNormalizationV1", "BatchNormalizationV2")
def batch_normalization(spec: Spec) -> KerasModule:
    """Each channel by its mean and deviation (Ioffe and Szegedy, 2015)."""
    return _Batch(spec)


@register("LayerNormalization")
def layer_normalization(spec: Spec) -> KerasModule:
    """Each row by its own mean and deviation over the axes (Ba et al., 2016)."""
    return _Layer(spec)


@register("GroupNormalization")
def group_normalization(spec: Spec) -> KerasModule:
    """Each row's groups of channels by their own mean and deviation (Wu and He, 2018)."""
    return _Group(spec)


@register("UnitNormalization")
def unit_normalization(spec: Spec) -> KerasModule:
    """To length 1 over the axes."""
    return _Unit(spec)
