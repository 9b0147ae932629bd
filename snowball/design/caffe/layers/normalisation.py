"""Layers that normalise, and the scales and biases behind them. N rows, C channels, S numbers of one channel."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import Apply, Weighted

__all__ = ["batch_norm", "bias", "lrn", "mvn", "normalize", "scale"]


class _BatchNorm(Weighted):
    """Blobs: mean (C), variance (C), and (1) the factor that both are to be divided by, a moving average's weight."""

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, spec: Spec) -> None:
        spec.bottoms(1)
        spec.dims(1, 5)
        super().__init__({}, {})
        channels = spec.shapes[0][1] if len(spec.shapes[0]) > 1 else 1
        self.register_buffer("running_mean", torch.empty(channels))
        self.register_buffer("running_var", torch.empty(channels))
        self._eps = spec.real("eps")
        self._momentum = 1 - spec.real("moving_average_fraction")
        self._global = spec.flag("use_global_stats")  # whatever the phase

    def blob_shapes(self) -> list[tuple[int, ...]]:
        channels = self.running_mean.shape[0]
        return [(channels,), (channels,), (1,)]

    @torch.no_grad()
    def load_blobs(self, values: Sequence[Tensor]) -> None:
        mean, variance, factor = values
        share = 0.0 if float(factor) == 0 else 1 / float(factor)
        self.running_mean.copy_(mean * share)
        self.running_var.copy_(variance * share)

    @torch.no_grad()
    def draw_blobs(self) -> None:
        self.running_mean.zero_()
        self.running_var.fill_(1)

    def forward(self, x: Tensor) -> Tensor:
        training = self.training and not self._global
        whole = x if x.dim() > 1 else x[:, None]
        mean, variance = self.running_mean, self.running_var
        found = F.batch_norm(whole, mean, variance, None, None, training, self._momentum, self._eps)
        return found.view_as(x)


@register("BatchNorm", message="batch_norm_param")
def batch_norm(spec: Spec) -> nn.Module:
    """(N, C, ...) less each channel's mean, by its deviation; without the scale, which is a layer of its own."""
    return _BatchNorm(spec)


class _Affine(Weighted):
    """x * scale + bias along some axes; scale or bias may be a second bottom instead of weights."""

    def __init__(self, spec: Spec, *, scales: bool, biases: bool) -> None:
        spec.bottoms(1, 2)
        first = spec.shapes[0]
        axis = spec.axis(spec.number("axis"), end=True)
        learned = len(spec.shapes) == 1
        num = spec.number("num_axes", -1, 32)
        shape = (first[axis:] if num == -1 else first[axis : axis + num]) if learned else spec.shapes[1]
        if first[axis : axis + len(shape)] != shape or (learned and num > len(first) - axis):
            raise spec.layer.wrong(f"{shape} does not fit {first} from axis {axis} on")
        blobs = {}
        if scales and learned:
            blobs["weight"] = shape
        if biases and (learned or scales):
            blobs["bias"] = shape
        ones = {"type": "constant", "value": 1.0}
        own = spec._said.get("filler")
        fillers = {"weight": own or ones, "bias": spec._said.get("bias_filler", {}) if scales else own or {}}
        super().__init__(blobs, fillers)
        self._scales = scales
        self._view = (*shape, *[1] * (len(first) - axis - len(shape)))

    def forward(self, x: Tensor, second: Tensor | None = None) -> Tensor:
        weight = getattr(self, "weight", second if self._scales else None)
        bias = getattr(self, "bias", None if self._scales else second)
        if weight is not None:
            x = x * self._fitted(weight, second)
        return x if bias is None else x + self._fitted(bias, second)

    def _fitted(self, value: Tensor, second: Tensor | None) -> Tensor:
        # A second bottom may hold one number a row, so its sizes are taken from itself.
        return (
            value.reshape(*value.shape, *[1] * (len(self._view) - value.dim()))
            if value is second
            else value.view(self._view)
        )


@register("Scale", message="scale_param")
def scale(spec: Spec) -> nn.Module:
    """x times a weight along `num_axes` axes, or times a second blob, with a bias where asked for."""
    return _Affine(spec, scales=True, biases=spec.flag("bias_term"))


@register("Bias", message="bias_param")
def bias(spec: Spec) -> nn.Module:
    """x plus a weight along `num_axes` axes, or plus a second blob."""
    return _Affine(spec, scales=False, biases=True)


@register("LRN", message="lrn_param")
def lrn(spec: Spec) -> nn.Module:
    """Local response normalisation, across channels (Krizhevsky, 2012, section 3.3) or over a square of one channel."""
    spec.bottoms(1)
    spec.dims(4)
    size, alpha, beta, k = spec.number("local_size", 1, 999), spec.real("alpha"), spec.real("beta"), spec.real("k")
    if size % 2 == 0:
        raise spec.layer.wrong(f"local_size is {size}: odd numbers are possible")
    if spec.word("norm_region") == "ACROSS_CHANNELS":
        return Apply(lambda x: F.local_response_norm(x, size, alpha, beta, k))

    def within(x: Tensor) -> Tensor:
        squares = F.avg_pool2d(F.pad(x * x, [size // 2] * 4), size, 1)
        return x * (1 + alpha * squares) ** -beta

    return Apply(within)


@register("MVN", message="mvn_param")
def mvn(spec: Spec) -> nn.Module:
    """Each channel, or each row, less its mean and by its deviation plus eps."""
    spec.bottoms(1)
    spec.dims(2, 5)
    first = 1 if spec.flag("across_channels") else 2
    axes = tuple(range(min(first, len(spec.shapes[0]) - 1), len(spec.shapes[0])))
    by_deviation, eps = spec.flag("normalize_variance"), spec.real("eps")

    def normalise(x: Tensor) -> Tensor:
        x = x - x.mean(axes, keepdim=True)
        return x / (x.square().mean(axes, keepdim=True).sqrt() + eps) if by_deviation else x

    return Apply(normalise)


class _Normalize(Weighted):
    weight: nn.Parameter

    def __init__(self, spec: Spec) -> None:
        spec.bottoms(1)
        spec.dims(4)
        shape = (1,) if spec.flag("channel_shared") else (spec.shapes[0][1],)
        super().__init__({"weight": shape}, {"weight": spec._said.get("scale_filler", {"value": 1.0})})
        self._axes = (1, 2, 3) if spec.flag("across_spatial") else (1,)
        self._eps = spec.real("eps")

    def forward(self, x: Tensor) -> Tensor:
        norm = (x.square().sum(self._axes, keepdim=True) + self._eps).sqrt()
        return x / norm * self.weight.reshape(-1)[:, None, None]


@register("Normalize", message="norm_param")
def normalize(spec: Spec) -> nn.Module:
    """Each place's, or each row's, vector to length 1, times a scale (Liu et al., 2015, ParseNet)."""
    return _Normalize(spec)
