"""Layers that make one tensor of several."""

from __future__ import annotations

import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..definition import ARITHMETIC
from ..registry import Spec, register
from ..weighted import Apply, KerasModule

__all__ = ["arithmetic", "concatenate", "dot", "elementwise"]

OPERATORS: dict[str, Callable[..., Any]] = {
    **{"Add": operator.add, "Subtract": operator.sub, "Multiply": operator.mul, "Negative": operator.neg},
    **{"TrueDivide": operator.truediv, "Divide": operator.truediv, "Power": operator.pow},
}

TWO: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "Add": torch.add,
    "Average": torch.add,
    "Multiply": torch.mul,
    "Maximum": torch.maximum,
    "Minimum": torch.minimum,
    "Subtract": torch.sub,
}


@register(*TWO)
def elementwise(spec: Spec) -> KerasModule:
    """Number by number, sides of 1 repeated as they have to be."""
    kind = spec.layer.type
    spec.inputs(2, 2 if kind == "Subtract" else 1000)
    if len({len(shape) for shape in spec.shapes}) != 1:
        raise spec.layer.wrong("inputs with unequal numbers of axes")
    two = TWO[kind]

    def merge(*inputs: Tensor) -> Tensor:
        found = reduce(two, inputs)
        return found / len(inputs) if kind == "Average" else found

    return Apply(merge)


@register("Concatenate")
def concatenate(spec: Spec) -> KerasModule:
    """One behind the other along an axis."""
    spec.inputs(1, 1000)
    (axis, *more) = spec.axes("axis")
    if more:
        raise spec.layer.wrong("several axes")
    return Apply(lambda *inputs: torch.cat(inputs, axis))


@register("Dot")
def dot(spec: Spec) -> KerasModule:
    """The product of two tensors, row by row, summed over an axis of each; of unit vectors with `normalize`."""
    spec.inputs(2)
    said = spec.said("axes", -1)
    axes = said if isinstance(said, list) else [said, said]
    dims = [len(shape) for shape in spec.shapes]
    if len(axes) != 2 or any(type(axis) is not int or not -n <= axis < n for axis, n in zip(axes, dims, strict=True)):
        raise spec.layer.wrong(f"axes is {axes}, of inputs with {dims} axes")
    first, second = (axis % n for axis, n in zip(axes, dims, strict=True))
    if 0 in (first, second) or spec.shapes[0][first] != spec.shapes[1][second] or max(dims) > 8:
        raise spec.layer.wrong(f"axes {first} and {second} cannot be multiplied")
    normalize = spec.flag("normalize")
    letters = "abcdefgh", "apqrstuv"
    left, right = letters[0][: dims[0]], letters[1][: dims[1]].replace(letters[1][second], letters[0][first])
    made = left.replace(left[first], "") + right[1:].replace(left[first], "")

    def multiply(x: Tensor, y: Tensor) -> Tensor:
        if normalize:
            x, y = F.normalize(x, dim=first, eps=1e-12), F.normalize(y, dim=second, eps=1e-12)
        found = torch.einsum(f"{left},{right}->{made}", x, y)
        return found[:, None] if found.dim() == 1 else found

    return Apply(multiply)


@register(ARITHMETIC, options=("first", "second"))
def arithmetic(spec: Spec) -> KerasModule:
    """What `x + y`, `2 * x` and their like become in a file: an operation on tensors, or on one and a number."""
    apply = OPERATORS[spec.word("operation", tuple(OPERATORS))]

    def operate(*inputs: Tensor, first: float | None = None, second: float | None = None) -> Tensor:
        found: Tensor = apply(*(operand for operand in (first, *inputs, second) if operand is not None))
        return found

    return Apply(operate)
