"""Rows that are parts of a whole: a table's columns start and end, and files whose names differ in a running number."""

from __future__ import annotations

import os
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ...table import Part
from .cells import LazyCells, PathCells

__all__ = ["PartCells", "Parts", "find_parts", "recordings"]

_STARTS = ("start", "start_time", "begin", "from")
_ENDS = ("end", "end_time", "stop", "to")
_RUNNING = re.compile(r"(.*\D)\d+")
MANY = 10  # recordings at least, of which each class has A_FEW: fewer are names of classes, and could not be split
A_FEW = 3


class Parts(NamedTuple):
    """The columns that say which part of which file a row is."""

    column: str
    start: str
    end: str


class PartCells(LazyCells):
    """Parts of files: a path's cell with its start and end, as the table has them; a kind checks them."""

    def __init__(self, paths: PathCells, starts: Sequence[Any], ends: Sequence[Any]) -> None:
        self.paths, self.starts, self.ends = paths, starts, ends
        self.num_rows = len(paths)

    def _cell(self, row: int) -> Part | None:
        path = self.paths[row]
        return None if path is None else Part(str(path), self.starts[row], self.ends[row])


def find_parts(columns: Collection[str], files: Mapping[str, str], named: Collection[str]) -> Parts | None:
    """The columns that make rows parts of files, where there is one column of a kind that runs over time.

    `files` maps columns of files to their kinds. Columns that the recipe names are what it says they are.
    """
    from ...registry import kinds

    timed = [column for column, kind in files.items() if kinds()[kind].timed]
    lower = {column.lower(): column for column in columns if column not in named}
    start = next((lower[word] for word in _STARTS if word in lower), None)
    end = next((lower[word] for word in _ENDS if word in lower), None)
    if len(timed) != 1 or start is None or end is None:
        return None
    return Parts(timed[0], start, end)


def recordings(paths: Sequence[str], labels: Sequence[str]) -> list[str] | None:
    """The recording each file was cut from, where names differ in their last number alone; None where they do not.

    >>> recordings(["run/a_1.mp4", "run/a_2.mp4"], ["run", "run"]) is None  # one recording a class: just numbered
    True
    """
    stems = [os.path.splitext(os.path.basename(path))[0] for path in paths]
    found = [match[1] if (match := _RUNNING.fullmatch(stem)) else stem for stem in stems]
    by_class: dict[str, set[str]] = {}
    for recording, label in zip(found, labels, strict=True):
        by_class.setdefault(label, set()).add(recording)
    many = len(set(found))
    if many < MANY or many == len(paths) or min(map(len, by_class.values())) < A_FEW:
        return None
    return found
