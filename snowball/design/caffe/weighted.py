"""Modules with weights: which parameters are a layer's blobs, in Caffe's order, and how new ones are drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ..apply import Apply

__all__ = ["Apply", "Weighted", "fill"]


class Weighted(nn.Module):
    """A layer with blobs. `blobs` names its parameters and buffers in the order in which Caffe stores them."""

    def __init__(self, blobs: Mapping[str, tuple[int, ...]], fillers: Mapping[str, Mapping[str, Any]]) -> None:
        super().__init__()
        self.blobs = tuple(blobs)
        self._fillers = fillers
        for name, shape in blobs.items():
            self.register_parameter(name, nn.Parameter(torch.empty(shape)))

    def blob_shapes(self) -> list[tuple[int, ...]]:
        """Of the blobs in Caffe's order."""
        return [tuple(getattr(self, name).shape) for name in self.blobs]

    @torch.no_grad()
    def load_blobs(self, values: Sequence[Tensor]) -> None:
        """Take the numbers of blobs, each of the shape that `blob_shapes` says."""
        for name, value in zip(self.blobs, values, strict=True):
            getattr(self, name).copy_(value)

    @torch.no_grad()
    def draw_blobs(self) -> None:
        """New random weights as the layer's fillers say."""
        for name in self.blobs:
            fill(getattr(self, name), self._fillers.get(name, {}))


def fill(weights: Tensor, said: Mapping[str, Any]) -> None:
    """Draw weights as one of Caffe's fillers does; constant 0 where none is named."""
    kind = said.get("type", "constant")
    shape = weights.shape
    fan_in = max(1, weights.numel() // max(1, shape[0]))
    fan_out = max(1, weights.numel() // max(1, shape[1])) if weights.dim() > 1 else fan_in
    fan = {"FAN_IN": fan_in, "FAN_OUT": fan_out, "AVERAGE": (fan_in + fan_out) / 2}[said.get("variance_norm", "FAN_IN")]
    if kind == "xavier":  # Glorot and Bengio, 2010
        bound = math.sqrt(3 / fan)
        weights.uniform_(-bound, bound)
    elif kind == "msra":  # He et al., 2015
        weights.normal_(0, math.sqrt(2 / fan))
    elif kind == "gaussian":
        weights.normal_(float(said.get("mean", 0)), abs(float(said.get("std", 1))))
    elif kind == "uniform":
        weights.uniform_(*sorted((float(said.get("min", 0)), float(said.get("max", 1)))))
    elif kind == "positive_unitball":
        weights.uniform_(0, 1).div_(weights.flatten(1).sum(1).view(-1, *[1] * (weights.dim() - 1)))
    elif kind == "bilinear":
        weights.copy_(_bilinear(shape[-1]).expand(shape))
    else:
        weights.fill_(float(said.get("value", 0)))


def _bilinear(size: int) -> Tensor:
    """(size, size): weights with which a deconvolution resamples bilinearly (Long et al., 2015)."""
    factor = math.ceil(size / 2)
    centre = (2 * factor - 1 - factor % 2) / (2 * factor)
    line = 1 - (torch.arange(size) / factor - centre).abs()
    return line[:, None] * line
