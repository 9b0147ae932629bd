"""Layers that only do something in training: they let pass in an evaluation."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from ..registry import Spec, register
from ..weighted import Apply, KerasModule

__all__ = ["alpha_dropout", "augmentation", "dropout", "gaussian", "identity"]


class _Dropout(KerasModule):
    """Zeros at random; the same along the axes that `shared` names, counted from 0."""

    def __init__(self, spec: Spec, shared: tuple[int, ...]) -> None:
        super().__init__()
        spec.inputs(1)
        self._rate = spec.real("rate", 0.0)
        if not 0 <= self._rate <= 1:
            raise spec.layer.wrong(f"rate is {self._rate}")
        self._shared = shared

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or not self._rate:
            return x
        kept = torch.ones([1 if axis in self._shared else side for axis, side in enumerate(x.shape)], device=x.device)
        return x * F.dropout(kept, self._rate)


class _Gaussian(KerasModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        self._multiplies = spec.layer.type == "GaussianDropout"
        rate = spec.real("rate" if self._multiplies else "stddev", 0.0)
        if rate < 0 or (self._multiplies and rate >= 1):
            raise spec.layer.wrong(f"a rate of {rate}")
        self._deviation = (rate / (1 - rate)) ** 0.5 if self._multiplies else rate

    def forward(self, x: Tensor) -> Tensor:
        if not self.training:
            return x
        drawn = torch.randn_like(x) * self._deviation
        return x * (1 + drawn) if self._multiplies else x + drawn


class _Augmentation(KerasModule):
    def forward(self, x: Tensor, training: bool = False) -> Tensor:
        return x


@register("Dropout", "SpatialDropout1D", "SpatialDropout2D", "SpatialDropout3D")
def dropout(spec: Spec) -> KerasModule:
    """Zeros at random (Srivastava et al., 2014); of the spatial ones, whole channels (Tompson et al., 2015)."""
    dims = len(spec.shapes[0])
    if spec.layer.type != "Dropout":
        return _Dropout(spec, tuple(range(1, dims - 1)) if spec.channels_last() else tuple(range(2, dims)))
    shape = spec.said("noise_shape") or []
    if not isinstance(shape, list):
        raise spec.layer.wrong(f"noise_shape is {str(shape)[:80]}")
    return _Dropout(spec, tuple(axis for axis, side in enumerate(shape) if side == 1))


@register("GaussianNoise", "GaussianDropout")
def gaussian(spec: Spec) -> KerasModule:
    """Normal noise added, or multiplied with."""
    return _Gaussian(spec)


@register("AlphaDropout")
def alpha_dropout(spec: Spec) -> KerasModule:
    """Dropout that keeps mean and deviation behind a SELU (Klambauer et al., 2017)."""
    spec.inputs(1)
    spec.said("noise_shape")
    rate = spec.real("rate", 0.0)
    if not 0 <= rate < 1:
        raise spec.layer.wrong(f"rate is {rate}")
    return Apply(torch.nn.AlphaDropout(rate))


@register("ActivityRegularization", "Identity", "InputLayer")
def identity(spec: Spec) -> KerasModule:
    """The same."""
    spec.inputs(1)
    return Apply(lambda x: x)


@register(
    "RandomFlip",
    "RandomRotation",
    "RandomZoom",
    "RandomContrast",
    "RandomBrightness",
    "RandomTranslation",
    options=("training",),
)
def augmentation(spec: Spec) -> KerasModule:
    """The same: how pictures are varied in training is for `augment` to say."""
    spec.inputs(1)
    for key in spec.layer.config:
        spec.said(key)
    return _Augmentation()
