"""A row that is a part of a file: where it begins and ends, and how it is read."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from ..kind import Unreadable
from ..table import Part

__all__ = ["part_bounds", "read_part"]

Value = TypeVar("Value")


def read_part(part: Part, read: Callable[[Path, float, float], Value]) -> Value:
    """What `read` makes of a file, from its `start` to its `end`. Errors name the file: the row's place does not."""
    path = Path(part.path)
    try:
        return read(path, *part_bounds(part))
    except Unreadable as reason:
        raise type(reason)(f"{path.name}: {reason}") from reason


def part_bounds(part: Part) -> tuple[float, float]:
    """`start` and `end` in seconds, from 0 and to infinity where the table has none. Raises Unreadable.

    >>> part_bounds(Part("a.mp4", "1.5", ""))
    (1.5, inf)
    """
    start, end = _seconds("start", part.start, 0.0), _seconds("end", part.end, math.inf)
    if start >= end:
        raise Unreadable(f"start {start:g} s is not before end {end:g} s")
    return start, end


def _seconds(which: str, cell: Any, missing: float) -> float:
    if cell is None or cell == "":
        return missing
    try:
        seconds = float(cell)
    except (TypeError, ValueError):
        raise Unreadable(f"{which} {str(cell)[:40]!r} is not a number of seconds") from None
    if not 0 <= seconds < math.inf:
        raise Unreadable(f"{which} {cell} is not a number of seconds from 0")
    return seconds
