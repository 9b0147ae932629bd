"""Keras's activation functions by name. What a name means may differ between Keras 2 and 3."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from .registry import Spec

__all__ = ["LINEAR", "SIGMOID", "SOFTMAX", "Activation", "read_activation"]

Activation = Callable[[Tensor], Tensor]


def _hard_sigmoid_2(x: Tensor) -> Tensor:
    return (0.2 * x + 0.5).clamp(0, 1)


def _softmax(x: Tensor) -> Tensor:
    return x.softmax(-1)


def _linear(x: Tensor) -> Tensor:
    return x


LINEAR: Activation = _linear
SIGMOID: Activation = torch.sigmoid
SOFTMAX: Activation = _softmax
FUNCTIONS: Mapping[str, Activation] = {
    "linear": LINEAR,
    "relu": torch.relu,
    "relu6": F.relu6,
    "leaky_relu": lambda x: F.leaky_relu(x, 0.2),
    "elu": F.elu,
    "selu": F.selu,
    "celu": F.celu,
    "gelu": F.gelu,
    "silu": F.silu,
    "swish": F.silu,
    "mish": F.mish,
    "tanh": torch.tanh,
    "sigmoid": SIGMOID,
    "hard_sigmoid": F.hardsigmoid,
    "hard_silu": F.hardswish,
    "hard_swish": F.hardswish,
    "hard_tanh": F.hardtanh,
    "exponential": torch.exp,
    "softplus": F.softplus,
    "softsign": F.softsign,
    "softmax": SOFTMAX,
    "log_softmax": lambda x: x.log_softmax(-1),
    "log_sigmoid": F.logsigmoid,
    "tanh_shrink": F.tanhshrink,
    "soft_shrink": F.softshrink,
    "hard_shrink": F.hardshrink,
}


def read_activation(spec: Spec, name: str = "activation", default: str = "linear") -> Activation:
    """The function that a key of the configuration names. Raises BadInput."""
    said: Any = spec.said(name, default)
    if isinstance(said, dict) and said.get("class_name") == "function":  # as Keras 3 may write one
        said = said.get("config")
    if said == "hard_sigmoid" and spec.version < 3:
        return _hard_sigmoid_2
    if not isinstance(said, str) or said not in FUNCTIONS:
        shown = said.get("class_name", said) if isinstance(said, dict) else said
        raise spec.layer.wrong(f"{name} is {str(shown)[:80]}: one of {', '.join(FUNCTIONS)} is possible")
    return FUNCTIONS[said]
