"""Modules with weights: which parameters are a layer's variables, in Keras's order and axes."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from math import prod
from typing import ClassVar

import torch
from torch import Tensor, nn

__all__ = ["Apply", "KerasModule", "Variable"]

Shape = tuple[int, ...]


@dataclass(frozen=True)
class Variable:
    """One of a layer's variables as Keras has it, and the module's parameter that holds it."""

    name: str
    """As Keras calls it, and as the module does: kernel, bias, gamma."""
    shape: Shape
    """In Keras's axes."""
    order: Shape = ()
    """Keras's axes in the order of the parameter's. Default: as they are."""
    trains: bool = True
    group: str = ""
    """Of the file, below the layer's: an object of Keras inside the layer, such as a recurrent layer's `cell`."""
    called: str = ""
    """The name where the file has names, if it is not `name`."""


class KerasModule(nn.Module):
    """A layer: tensors in Keras's axes in, the same out. `variables` stand in the order in which Keras stores them."""

    optional: ClassVar[tuple[str, ...]] = ("bias",)
    """Parameters that are None unless a variable is made for them."""

    def __init__(self) -> None:
        super().__init__()
        for name in self.optional:
            self.register_parameter(name, None)
        self.variables: list[Variable] = []
        self.trains = True

    def add_variables(self, variables: Iterable[Variable], shapes: Iterable[Shape] = ()) -> None:
        """Make a parameter for each, a buffer where it does not train; `shapes` where not Keras's reordered."""
        said = list(shapes)
        for number, variable in enumerate(variables):
            ordered = tuple(variable.shape[axis] for axis in variable.order or range(len(variable.shape)))
            held = torch.zeros(said[number] if said else ordered)
            if variable.trains:
                self.register_parameter(variable.name, nn.Parameter(held))
            else:
                self.register_buffer(variable.name, held)
            self.variables.append(variable)

    def num_weights(self) -> int:
        """Numbers in the variables of this layer itself."""
        return sum(prod(variable.shape) for variable in self.variables)

    def parts(self) -> list[tuple[str, KerasModule]]:
        """Layers inside, by the group of the file that holds their weights, in Keras's order."""
        return []

    @torch.no_grad()
    def load(self, variable: Variable, value: Tensor) -> None:
        """Take the numbers of a variable, of its shape."""
        held: Tensor = getattr(self, variable.name)
        held.copy_(value.permute(variable.order or tuple(range(value.dim()))).reshape(held.shape))


class Apply(KerasModule):
    """A module or function without weights as a layer."""

    def __init__(self, function: Callable[..., Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, *inputs: Tensor, **options: float) -> Tensor:
        return self.function(*inputs, **options)
