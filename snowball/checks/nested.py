"""Batches of any make: a tensor, or tuples, lists and dicts of them. B rows stand first in every tensor of a batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

__all__ = ["edges", "joined", "leaves", "mapped", "row_count", "rows_of", "to_device"]


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Tensor]]:
    """Every tensor inside, with where it stands.

    >>> [name for name, _ in leaves({"a": torch.ones(2), "b": (torch.ones(2), "text")})]
    ['a', 'b.0']
    """
    if isinstance(value, Tensor):
        yield path, value
    elif isinstance(value, dict):
        for key, part in value.items():
            yield from leaves(part, f"{path}.{key}".lstrip("."))
    elif isinstance(value, tuple | list):
        for number, part in enumerate(value):
            yield from leaves(part, f"{path}.{number}".lstrip("."))


def mapped(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """The same make with every tensor changed; what is no tensor stays."""
    if isinstance(value, Tensor):
        return change(value)
    if isinstance(value, dict):
        return {key: mapped(part, change) for key, part in value.items()}
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(mapped(part, change) for part in value))
    if isinstance(value, tuple | list):
        return type(value)(mapped(part, change) for part in value)
    return value


def row_count(value: Any) -> int:
    """B: the length of the first tensor that has one; 0 where there is none."""
    return next((len(tensor) for _, tensor in leaves(value) if tensor.dim() > 0), 0)


def edges(inputs: Any) -> list[tuple[str, Tensor]]:
    """Tables (2, E) of numbers of rows: what leads from one row of a graph to another.

    >>> [name for name, _ in edges((torch.ones(3, 4), torch.tensor([[0, 1], [1, 2]])))]
    ['1']
    """
    count = row_count(inputs)
    tables = [(name, t) for name, t in leaves(inputs) if t.dim() == 2 and len(t) == 2 != count and t.numel()]
    whole = [(name, t) for name, t in tables if not t.is_floating_point() and t.dtype != torch.bool]
    return [(name, t) for name, t in whole if t.amin() >= 0 and 1 < t.amax() < count]


def rows_of(value: Any, rows: Tensor | slice) -> Any:
    """Some rows of a batch, in their order. Tensors with another first length belong to all rows and stay."""
    count = row_count(value)
    return mapped(value, lambda tensor: tensor[rows] if tensor.dim() > 0 and len(tensor) == count else tensor)


def joined(batches: Sequence[Any]) -> Any:
    """Several batches of one make as one. Raises RuntimeError where shapes differ beyond the rows."""
    first = batches[0]
    if isinstance(first, Tensor):
        return torch.cat(list(batches)) if first.dim() else first
    if isinstance(first, dict):
        return {key: joined([batch[key] for batch in batches]) for key in first}
    if isinstance(first, tuple | list):
        return type(first)(joined([batch[number] for batch in batches]) for number in range(len(first)))
    return first


def to_device(value: Any, device: torch.device) -> Any:
    return mapped(value, lambda tensor: tensor.to(device))
