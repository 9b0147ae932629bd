"""Layers at the front of networks for pictures and tables: what is done to numbers before they are looked at."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor

from ..registry import Spec, register
from ..weighted import KerasModule, Variable
from .convolution import ChannelsFirst

__all__ = ["normalization", "rescaling", "resizing"]

EPSILON = 1e-7  # Keras's own, below which no deviation goes


class _Rescaling(KerasModule):
    scale: Tensor
    offset: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        for name, default in (("scale", 1.0), ("offset", 0.0)):
            values = spec.reals(name, default)
            if len(values) not in (1, spec.shapes[0][-1]):
                raise spec.layer.wrong(f"{name} has {len(values)} numbers, for {spec.shapes[0][-1]} channels")
            # Allocated at once: these numbers are known from the configuration, and are not among the weights.
            held = torch.tensor(values if len(values) > 1 else values[0], device="cpu")
            self.register_buffer(name, held, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:
            return torch.empty_like(x)
        return x * self.scale + self.offset


class _Normalization(KerasModule):
    mean: Tensor
    variance: Tensor
    given: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        shape = spec.shapes[0]
        axes = sorted(spec.axes("axis")) if spec.layer.config.get("axis") is not None else []
        spec.said("axis")
        self._inverts = spec.flag("invert")
        self._view = tuple(side if axis in axes else 1 for axis, side in enumerate(shape))
        kept = tuple(shape[axis] for axis in axes)
        self._known = spec.said("mean") is not None
        if self._known:
            for name in ("mean", "variance"):
                values = spec.reals(name, 0.0)
                if len(values) not in (1, prod(kept)):
                    raise spec.layer.wrong(f"{name} has {len(values)} numbers, {prod(kept)} would be right")
                held = torch.tensor(values * (prod(kept) // len(values)), device="cpu")
                self.register_buffer(name, held, persistent=False)
        else:
            self.add_variables(Variable(name, kept, trains=False) for name in ("mean", "variance"))
            self.add_variables([Variable("count", (), trains=False)])

    def forward(self, x: Tensor) -> Tensor:
        if x.is_meta:
            return torch.empty(torch.broadcast_shapes(x.shape, self._view), device="meta")
        mean, deviation = self.mean.view(self._view), self.variance.view(self._view).sqrt().clamp(min=EPSILON)
        return x * deviation + mean if self._inverts else (x - mean) / deviation


class _Resizing(ChannelsFirst):
    def __init__(self, spec: Spec) -> None:
        super().__init__(spec, 2)
        self._size = spec.integer("height"), spec.integer("width")
        spec.word("interpolation", ("bilinear",))
        for key in ("crop_to_aspect_ratio", "pad_to_aspect_ratio", "antialias"):
            if spec.flag(key):
                raise spec.layer.wrong(f"{key} is not read")

    def inner(self, x: Tensor) -> Tensor:
        return F.interpolate(x, self._size, mode="bilinear", align_corners=False)

    def forward(self, x: Tensor, training: bool = False) -> Tensor:
        return super().forward(x)


@register("Rescaling")
def rescaling(spec: Spec) -> KerasModule:
    """x * scale + offset."""
    return _Rescaling(spec)


@register("Normalization")
def normalization(spec: Spec) -> KerasModule:
    """Mean off, by deviation; both from the data that the layer was adapted to, or from its configuration."""
    return _Normalization(spec)


@register("Resizing", options=("training",))
def resizing(spec: Spec) -> KerasModule:
    """Pictures of another size, bilinear."""
    return _Resizing(spec)
