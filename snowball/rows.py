"""Rows of a table as raw values: a split for whoever asks for it, a column for a kind that learns from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

from .kind import Kind, Unreadable
from .table import Column, Table

if TYPE_CHECKING:
    from .task import Task

__all__ = ["Rows", "readable"]

IN_FLIGHT = 32  # rows that `fit` holds at a time


class Rows(Sequence[tuple[dict[str, Any], Any]]):
    """Rows of a table as (given, answer) raw values, read when asked for. Raises Unreadable for a bad cell."""

    def __init__(self, task: Task, table: Table, index: Sequence[int]) -> None:
        self.task = task
        self.numbers = index
        """Which rows of the table these are."""
        self._answers = table.columns[task.schema.columns[task.answer_role].column].cells
        self._given = {role: table.columns[task.schema.columns[role].column].cells for role in task.given}

    def __len__(self) -> int:
        return len(self.numbers)

    def __getitem__(self, position: Any) -> Any:
        return self.row(self.numbers[position])

    def row(self, number: int) -> tuple[dict[str, Any], Any]:
        """The row with this number in the table."""
        return self.given(number), self.answer(number)

    def given(self, row: int) -> dict[str, Any]:
        return self.task.read_given({role: cells[row] for role, cells in self._given.items()})

    def answer(self, row: int) -> Any:
        return self.task.answer_kind.read(self._answers[row])


def readable(kind: type[Kind], column: Column, rows: Sequence[int]) -> Iterator[Any]:
    """What a kind reads of these rows of a column; cells that cannot be read are passed over."""
    from .threads import in_order, one_core_each

    def read(row: int) -> list[Any]:
        try:
            return [kind.read(column.cells[row])]
        except Unreadable:
            return []

    if kind.fit_rows is None:
        yield from chain.from_iterable(map(read, rows))
        return
    with one_core_each() as pool:  # a kind of which few rows are looked at is costly to read
        yield from chain.from_iterable(in_order(pool, read, rows, IN_FLIGHT))
