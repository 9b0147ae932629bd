"""Roles: which column of a table is what a task is given, and which is its answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from .finding import BadInput
from .recipe import DataSection
from .registry import kinds
from .table import Column, Table

__all__ = ["columns_of_roles"]


def columns_of_roles(
    given: Mapping[str, str], answer: tuple[str, str], name: str, table: Table, asked: DataSection
) -> dict[str, Column]:
    """Role -> column: the one that is asked for, else the first of the role's kind. Raises BadInput, naming the kind.

    `given` and `answer` are roles with their kinds, as the task called `name` has them.
    """
    named = {answer[0]: asked.answer}
    if asked.given:
        named |= dict(zip(given, asked.given.split(","), strict=False))
    picked: dict[str, Column] = {}
    for role, key in {**given, answer[0]: answer[1]}.items():
        wanted, kind = named.get(role), kinds()[key].column_kind()
        taken = {column.name for column in picked.values()} | {n for other, n in named.items() if other != role}
        free = [c for c in table.columns.values() if c.name not in taken]
        matching = [c for c in free if c.kind == kind]
        matching = matching or [replace(c, kind=kind) for c in free if c.kind in kinds()[key].adopts]
        if wanted is None and not matching:
            raise BadInput(f"{table.name}: no column of kind {kind}, which {name} needs")
        chosen = table.column(wanted) if wanted else matching[0]
        taken_over = role in given and (kinds()[key].column or chosen.kind in kinds()[key].adopts)
        picked[role] = replace(chosen, kind=key) if taken_over else chosen
    return picked
