"""Arithmetic, comparisons and choices, of tensors and of known values, with NumPy's broadcasting."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from functools import reduce
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register
from ..values import as_known, as_tensor, bounded, elementwise, is_known, numbers_of

__all__ = ["cast", "where"]


def _quotient(first: Any, second: Any) -> Any:
    """Whole numbers are divided towards zero, as in C."""
    if isinstance(first, float) or isinstance(second, float):
        return first / second
    return first // second if isinstance(first, torch.SymInt) or (first >= 0) == (second > 0) else -(-first // second)


def _divide(first: Any, second: Any) -> Any:
    one = first if isinstance(first, Tensor) else second
    return first / second if one.is_floating_point() else torch.div(first, second, rounding_mode="trunc")


def _power(first: Any, second: Any) -> Any:
    if isinstance(first, int) and isinstance(second, int) and abs(first) > 1 and second > 64:
        raise ValueError(f"{first} to the power of {second}")
    return first**second


def _logical(function: Callable[[Any, Any], Any], on_tensors: Callable[..., Tensor]) -> Callable[..., Any]:
    return elementwise(lambda a, b: on_tensors(*_both(a, b)), function)


def _both(first: Any, second: Any) -> tuple[Tensor, Tensor]:
    like = first if isinstance(first, Tensor) else second

    def beside(one: Any) -> Tensor:
        return (one if isinstance(one, Tensor) else torch.tensor(one, dtype=like.dtype)).to(like.device)

    return beside(first), beside(second)


_BINARY: dict[str, Callable[..., Any]] = {
    "Add": elementwise(operator.add),
    "Sub": elementwise(operator.sub),
    "Mul": elementwise(operator.mul),
    "Div": elementwise(_divide, _quotient),
    "Pow": elementwise(operator.pow, _power),
    "Equal": elementwise(operator.eq),
    "Less": elementwise(operator.lt),
    "LessOrEqual": elementwise(operator.le),
    "Greater": elementwise(operator.gt),
    "GreaterOrEqual": elementwise(operator.ge),
    "And": _logical(lambda a, b: bool(a) and bool(b), torch.logical_and),
    "Or": _logical(lambda a, b: bool(a) or bool(b), torch.logical_or),
    "Xor": _logical(lambda a, b: bool(a) != bool(b), torch.logical_xor),
}
_MANY: dict[str, Callable[..., Any]] = {
    "Min": elementwise(lambda a, b: torch.minimum(*_both(a, b)), min),
    "Max": elementwise(lambda a, b: torch.maximum(*_both(a, b)), max),
    "Sum": _BINARY["Add"],
    "Mean": _BINARY["Add"],
}
_UNARY: dict[str, tuple[Callable[[Tensor], Tensor], Callable[[Any], Any] | None]] = {
    "Sqrt": (torch.sqrt, math.sqrt),
    "Exp": (torch.exp, None),
    "Log": (torch.log, None),
    "Abs": (torch.abs, abs),
    "Neg": (torch.neg, operator.neg),
    "Reciprocal": (torch.reciprocal, lambda x: 1 / x),
    "Floor": (torch.floor, lambda x: float(math.floor(x))),
    "Ceil": (torch.ceil, lambda x: float(math.ceil(x))),
    "Round": (torch.round, lambda x: float(round(x))),
    "Sign": (torch.sign, None),
    "Sin": (torch.sin, None),
    "Cos": (torch.cos, None),
    "Not": (torch.logical_not, operator.not_),
}


def _binary(name: str) -> Callable[[Spec], nn.Module]:
    def build(spec: Spec) -> nn.Module:
        spec.operand_counts(2)
        if spec.opset < 7 and "axis" in spec:
            raise spec.node.wrong("broadcasting from an axis, as before opset 7, is not read")
        return Apply(_BINARY[name])

    return build


def _many(name: str) -> Callable[[Spec], nn.Module]:
    def build(spec: Spec) -> nn.Module:
        count = len(spec.operands)
        spec.operand_counts(1, 1000)
        found = _MANY[name]
        if name == "Mean":
            return Apply(lambda *values: reduce(found, values) / count)
        return Apply(lambda *values: reduce(found, values))

    return build


def _unary(name: str) -> Callable[[Spec], nn.Module]:
    on_tensors, on_numbers = _UNARY[name]

    def run(x: Any) -> Any:
        if not is_known(x):
            return on_tensors(x)
        if on_numbers is None:
            raise ValueError("of numbers that are known before a run")
        return as_known(np.frompyfunc(on_numbers, 1, 1)(x))

    def build(spec: Spec) -> nn.Module:
        spec.operand_counts(1)
        return Apply(run)

    return build


for _names, _builder in ((_BINARY, _binary), (_MANY, _many), (_UNARY, _unary)):
    for _name in _names:
        register(_name)(_builder(_name))


@register("Mod")
def _mod(spec: Spec) -> nn.Module:
    spec.operand_counts(2)
    if spec.flag("fmod"):
        return Apply(elementwise(lambda a, b: torch.fmod(*_both(a, b)), math.fmod))
    return Apply(elementwise(operator.mod))


@register("Where")
def where(spec: Spec) -> nn.Module:
    """One or the other, by a condition."""
    spec.operand_counts(3)

    def choose(condition: Any, first: Any, second: Any) -> Any:
        values = (condition, first, second)
        if all(is_known(value) for value in values):
            bounded(np.broadcast_shapes(*(value.shape for value in values)))
            return as_known(np.frompyfunc(lambda c, a, b: a if c else b, 3, 1)(*values))
        like = next(value for value in values if isinstance(value, Tensor))
        if is_known(condition):
            condition = torch.tensor(condition.tolist(), dtype=torch.bool, device=like.device)
        numbers = next((value for value in (first, second) if isinstance(value, Tensor)), None)
        if numbers is None:  # both known: of the type that their numbers have
            kind = torch.float32 if isinstance(numbers_of(first)[0], float) else torch.int64
            numbers = torch.empty((), dtype=kind, device=like.device)
        return torch.where(condition.to(like.device), as_tensor(first, numbers), as_tensor(second, numbers))

    return Apply(choose)


@register("Cast", "CastLike")
def cast(spec: Spec) -> nn.Module:
    """To whole numbers, to truth, or to float32, which stands for all floats here."""
    spec.operand_counts(1, 2)
    if spec.node.op == "CastLike":
        like = spec.operands[1]
        floats = is_known(like) and isinstance(numbers_of(like)[0], float)
        to = 1 if floats or (isinstance(like, Tensor) and like.is_floating_point()) else 7
    else:
        to = spec.number("to")
    number: Callable[[Any], Any]
    if to in (1, 10, 11, 16):
        dtype, number = torch.float32, _float
    elif to in (2, 3, 4, 5, 6, 7, 12, 13):
        dtype, number = {2: torch.uint8, 3: torch.int8}.get(to, torch.int64), _int
    elif to == 9:
        dtype, number = torch.bool, bool
    else:
        raise spec.node.wrong(f"to numbers of type {to}, which are not read")

    def change(x: Any, _: Any = None) -> Any:
        return as_known(np.frompyfunc(number, 1, 1)(x)) if is_known(x) else x.to(dtype)

    return Apply(change)


def _float(value: Any) -> Any:
    return torch.sym_float(value) if isinstance(value, torch.SymInt) else float(value)


def _int(value: Any) -> Any:
    if isinstance(value, torch.SymInt | torch.SymFloat):
        return torch.sym_int(value)
    if not math.isfinite(value):
        raise ValueError("a number that is not finite, as a whole one")
    return int(value)
