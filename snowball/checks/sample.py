"""Rows of a split: as the batches that the loader gave, and together. L steps, where rows are sequences."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from .nested import joined, leaves, row_count

__all__ = ["Sample", "count_rows", "row_contents", "row_keys", "together"]


@dataclass(frozen=True)
class Sample:
    """Rows of a split in the order in which the loader gave them."""

    batches: tuple[tuple[Any, Any], ...]
    """(inputs, targets) of each batch."""
    complete: bool
    """Every row of the split is here."""

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        """Rows of each batch."""
        return tuple(count_rows(*batch) for batch in self.batches)

    @cached_property
    def inputs(self) -> Any:
        return together([inputs for inputs, _ in self.batches])

    @cached_property
    def targets(self) -> Any:
        return together([targets for _, targets in self.batches])

    def __len__(self) -> int:
        return sum(self.sizes)


def count_rows(inputs: Any, targets: Any) -> int:
    """B: the first length that an input and a target share, else that of the inputs.

    >>> count_rows((torch.ones(457), torch.arange(40)), torch.ones(40))  # words of 40 texts, and where each begins
    40
    """
    asked = {len(tensor) for _, tensor in leaves(targets) if tensor.dim() > 0}
    shared = [len(tensor) for _, tensor in leaves(inputs) if tensor.dim() > 0 and len(tensor) in asked]
    return shared[0] if shared else row_count(inputs)


def row_contents(inputs: Any) -> list[bytes]:
    """Each row's content as bytes, without what fills it up behind."""
    count = row_count(inputs)
    parts = [
        t.detach().cpu().contiguous().reshape(count, -1) for _, t in leaves(inputs) if t.dim() > 0 and len(t) == count
    ]
    if not parts:
        return []
    flat = [part.float().numpy() for part in parts]
    ends = [_ends(part) for part in flat]
    return [
        b"|".join(part[row, : end[row]].tobytes() for part, end in zip(flat, ends, strict=True)) for row in range(count)
    ]


def _ends(table: Any) -> list[int]:
    """Where each row's last number stands that is no filling, 0 or -100."""
    filled = (table == 0) | (table == -100)
    ends: list[int] = (table.shape[1] - filled[:, ::-1].argmin(1) - filled.all(1) * table.shape[1]).tolist()
    return ends


def row_keys(inputs: Any) -> list[int]:
    """Each row's content as a number."""
    return [hash(row) for row in row_contents(inputs)]


def together(batches: list[Any]) -> Any:
    """Several batches as one; those of other lengths L are filled up behind."""
    try:
        return joined(batches)
    except (RuntimeError, IndexError):
        return _padded(batches)


def _padded(batches: list[Any]) -> Any:
    """Tensors are filled up in dimension 1: with -100 where that stands among whole numbers, else with 0."""
    first = batches[0]
    if isinstance(first, Tensor):
        if first.dim() < 2:
            return torch.cat(batches)
        longest = max(batch.shape[1] for batch in batches)
        left_out = not first.is_floating_point() and any(bool((batch == -100).any()) for batch in batches)
        filled = []
        for batch in batches:
            shape = (len(batch), longest - batch.shape[1], *batch.shape[2:])
            filled.append(torch.cat([batch, batch.new_full(shape, -100 if left_out else 0)], 1))
        return torch.cat(filled)
    if isinstance(first, dict):
        return {key: _padded([batch[key] for batch in batches]) for key in first}
    if isinstance(first, tuple | list):
        return type(first)(_padded([batch[number] for batch in batches]) for number in range(len(first)))
    return first
