"""A function as a module: what a layer without weights is."""

from __future__ import annotations

from typing import Any

from torch import nn

__all__ = ["Apply"]


class Apply(nn.Module):
    """A function of a layer's inputs that has no weights."""

    def __init__(self, function: Any) -> None:
        super().__init__()
        self._function = function

    def forward(self, *inputs: Any) -> Any:
        return self._function(*inputs)
