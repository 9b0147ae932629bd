"""Where a row that is a part of a file begins and ends."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from ..kind import Unreadable
from ..table import Part

__all__ = ["part_bounds"]


def part_bounds(part: Part) -> tuple[float, float]:
    """`start` and `end` in seconds, from 0 and to infinity where the table has none. Raises Unreadable.

    >>> part_bounds(Part("a.mp4", "1.5", ""))
    (1.5, inf)
    """
    name = Path(part.path).name
    start, end = _seconds(name, "start", part.start, 0.0), _seconds(name, "end", part.end, math.inf)
    if start >= end:
        raise Unreadable(f"{name}: start {start:g} s is not before end {end:g} s")
    return start, end


def _seconds(name: str, which: str, cell: Any, missing: float) -> float:
    if cell is None or cell == "":
        return missing
    try:
        seconds = float(cell)
    except (TypeError, ValueError):
        raise Unreadable(f"{name}: {which} {str(cell)[:40]!r} is not a number of seconds") from None
    if not 0 <= seconds < math.inf:
        raise Unreadable(f"{name}: {which} {cell} is not a number of seconds from 0")
    return seconds
