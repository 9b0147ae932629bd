"""Numbers that are known before a network runs, such as shapes: arrays of Python's own numbers, or torch's symbols.

Beside tensors, nodes pass on these `known` values. Exporters compute shapes with dozens of small nodes; done in Python
they cost microseconds, allocate nothing, and an export of the module sees through them where the number of rows varies.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor

__all__ = ["MAX_KNOWN", "as_known", "as_tensor", "bounded", "elementwise", "is_known", "numbers_of", "whole"]

MAX_KNOWN = 4_096  # numbers of a known value: larger ones are tensors
NUMBERS = (int, float, torch.SymInt, torch.SymFloat, torch.SymBool)


def is_known(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def as_known(values: Any) -> np.ndarray:
    """An array of objects: a number, a sequence, or an array of any type.

    What is no number is refused, and whole ones beyond 64 bits: squared a few dozen times, Python's fill the memory.

    >>> as_known([1, 2]).tolist(), as_known(3).shape
    ([1, 2], ())
    """
    found = np.array(values.tolist() if isinstance(values, np.ndarray) else values, dtype=object)
    found = found.reshape(values.shape) if isinstance(values, np.ndarray) else found
    for number in found.reshape(-1):
        if not isinstance(number, NUMBERS) or (isinstance(number, int) and not -(2**63) <= number < 2**64):
            shown = "a whole number beyond 64 bits" if isinstance(number, int) else f"a {type(number).__name__}"
            raise ValueError(f"{shown}, where a number is to be known before a run")
    return found


def bounded(shape: Sequence[Any]) -> None:
    """Refuse a known value of more than MAX_KNOWN numbers before there is one."""
    if prod(int(side) for side in shape) > MAX_KNOWN:
        raise ValueError(f"{' x '.join(map(str, shape))} numbers before anything has run; {MAX_KNOWN:,} are possible")


def numbers_of(value: Any) -> list[Any]:
    """The numbers of a known value, flat. What only a run would tell is refused: shapes hang on shapes alone."""
    if not is_known(value):
        raise ValueError("it hangs on what the data holds, not on shapes alone")
    return list(value.reshape(-1))


def whole(value: Any) -> list[Any]:
    """The same as whole numbers."""
    return [number if isinstance(number, torch.SymInt) else int(number) for number in numbers_of(value)]


def as_tensor(value: Any, like: Tensor) -> Tensor:
    """A known value as a tensor of the type and on the device of another; tensors as they are, on that device."""
    if isinstance(value, Tensor):
        return value if value.device == like.device else value.to(like.device)
    return torch.tensor(value.tolist(), dtype=like.dtype, device=like.device)


def elementwise(
    on_tensors: Callable[..., Any], on_numbers: Callable[..., Any] | None = None
) -> Callable[..., np.ndarray | Tensor]:
    """A function of numbers as one of values, with NumPy's broadcasting: of known ones a known one.

    >>> elementwise(lambda a, b: a + b)(as_known([1, 2]), as_known(1)).tolist()
    [2, 3]
    """
    numbers = np.frompyfunc(on_numbers or on_tensors, 2, 1)

    def apply(first: Any, second: Any) -> np.ndarray | Tensor:
        if is_known(first) and is_known(second):
            bounded(np.broadcast_shapes(first.shape, second.shape))
            return as_known(numbers(first, second))
        like = second if is_known(first) else first
        found: Tensor = on_tensors(_operand(first, like), _operand(second, like))
        return found

    return apply


def _operand(value: Any, like: Tensor) -> Any:
    """A number as such, which is quicker and exports smaller; else a tensor."""
    if is_known(value) and value.size == 1 and value.ndim <= like.dim():
        return value.reshape(())[()]
    return as_tensor(value, like)
