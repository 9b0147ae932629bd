"""Points of tracks in a request, as lines of a file."""

from __future__ import annotations

from typing import Any

from ..kind import Unreadable

__all__ = ["points_text"]

_NAMES = ("frame", "agent", "x", "y")


def points_text(points: Any) -> bytes:
    """A list of objects with frame, agent, x and y as the bytes of a CSV file. Raises Unreadable, naming the object.

    >>> points_text([{"frame": 0, "agent": "a", "x": 1.5, "y": 2}])
    b'frame,agent,x,y\\n0,a,1.5,2'
    """
    if not isinstance(points, list) or not points:
        raise Unreadable("a list of objects with frame, agent, x and y is needed")
    lines = [",".join(_NAMES)]
    for number, point in enumerate(points, start=1):
        if not isinstance(point, dict) or any(name not in point for name in _NAMES):
            raise Unreadable(f"point {number}: an object with frame, agent, x and y is needed")
        cells = [point[name] for name in _NAMES]
        if not all(isinstance(cell, str | int | float) and not isinstance(cell, bool) for cell in cells):
            raise Unreadable(f"point {number}: frame, agent, x and y are numbers or text")
        if any(mark in str(cell) for cell in cells for mark in ',;|\t\n\r"'):
            raise Unreadable(f"point {number}: a value holds a comma, a quote or a line end")
        lines.append(",".join(map(str, cells)))
    return "\n".join(lines).encode()
