"""What there is: every kind in the files of `kinds/`, every task in those of `tasks/`, and the task of a table."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from types import ModuleType
from typing import TYPE_CHECKING

from .finding import BadInput
from .kind import Kind

if TYPE_CHECKING:
    from .table import Table
    from .task import Task

__all__ = ["choose_task", "kinds", "scan", "tasks"]

_KINDS: dict[str, type[Kind]] = {}
_TASKS: dict[str, type[Task]] = {}


def scan(package: str) -> Iterator[ModuleType]:
    """Every module of a package, but for those whose names begin with `_`."""
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__):
        if not module.name.startswith("_"):
            yield importlib.import_module(f"{package}.{module.name}")


def kinds() -> dict[str, type[Kind]]:
    """Every kind by its key: the classes named in the files of `kinds/`."""
    if not _KINDS:
        for module in scan("snowball.kinds"):
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Kind) and value.__module__ == module.__name__:
                    _KINDS[value.key] = value
    return _KINDS


def tasks() -> dict[str, type[Task]]:
    """Every task by its name: the classes named in the files of `tasks/`."""
    from .task import Task  # which looks up its kinds here

    if not _TASKS:
        for module in scan("snowball.tasks"):
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Task) and value.__module__ == module.__name__:
                    _TASKS[value.name] = value
    return _TASKS


def choose_task(table: Table) -> type[Task]:
    """The task that uses the most of a table's columns; of equals the first by name, a label before words."""
    held = [column.kind for column in table.columns.values()]

    def needed(task: type[Task]) -> list[str]:
        return [kinds()[key].column_kind() for key in {**task.given, task.answer[0]: task.answer[1]}.values()]

    def fits(task: type[Task]) -> bool:
        return all(held.count(kind) >= needed(task).count(kind) for kind in needed(task))

    matching = [task for task in tasks().values() if fits(task)]
    if not matching:
        shown = ", ".join(f"{column.name} ({column.kind})" for column in table.columns.values())
        known = "; ".join(
            f"{task.name}: {' + '.join(task.given.values())} -> {task.answer[1]}" for task in tasks().values()
        )
        raise BadInput(f"{table.name}: no task fits its columns {shown}. Known tasks: {known}")
    return max(matching, key=lambda task: len(needed(task)))
