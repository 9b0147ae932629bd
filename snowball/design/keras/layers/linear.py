"""Layers of one product with a matrix: Dense and Embedding."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor, nn

from ..activations import read_activation
from ..registry import Spec, register
from ..weighted import KerasModule, Variable

__all__ = ["dense", "embedding"]


class _Dense(KerasModule):
    kernel: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        spec.dims(2, 8)
        units, width = spec.integer("units"), spec.shapes[0][-1]
        self.activation = read_activation(spec)
        self.add_variables([Variable("kernel", (width, units), (1, 0))])
        if spec.flag("use_bias", True):
            self.add_variables([Variable("bias", (units,))])

    def forward(self, x: Tensor) -> Tensor:
        return self.activation(F.linear(x, self.kernel, self.bias))


class _Embedding(KerasModule):
    embeddings: nn.Parameter

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        if spec.flag("mask_zero"):
            raise spec.layer.wrong(
                "mask_zero: masks are not read: layers behind it would answer otherwise than in Keras"
            )
        self.add_variables([Variable("embeddings", (spec.integer("input_dim"), spec.integer("output_dim")))])

    def forward(self, x: Tensor) -> Tensor:
        return F.embedding(x.long(), self.embeddings)


@register("Dense")
def dense(spec: Spec) -> KerasModule:
    """(N, ..., in) to (N, ..., units)."""
    return _Dense(spec)


@register("Embedding")
def embedding(spec: Spec) -> KerasModule:
    """(N, ...) of numbers below `input_dim` to (N, ..., output_dim)."""
    return _Embedding(spec)
