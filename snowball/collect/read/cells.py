"""Cells that are made when asked for, so that a table of a million pictures stays small."""

from __future__ import annotations

import bisect
import os
from abc import abstractmethod
from collections.abc import Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

__all__ = ["ChainedCells", "LazyCells", "PathCells"]


class LazyCells(Sequence[Any]):
    """A sequence of which a subclass gives `num_rows` and one cell at a time. `_cell` is called from threads."""

    num_rows: int

    @abstractmethod
    def _cell(self, row: int) -> Any:
        """The cell of row 0 <= row < num_rows."""

    def __len__(self) -> int:
        return self.num_rows

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return [self._cell(row) for row in range(*index.indices(self.num_rows))]
        row = int(index)
        row += self.num_rows if row < 0 else 0
        if not 0 <= row < self.num_rows:
            raise IndexError(f"row {index} of {self.num_rows}")
        return self._cell(row)


class PathCells(LazyCells):
    """Paths relative to a folder, joined to it when asked for; an empty path is None.

    They are str, or Path where a str would be taken for the content of the file.

    >>> PathCells("data", ["cat/1.png", ""])[:]
    ['data/cat/1.png', None]
    """

    def __init__(self, folder: str | os.PathLike[str], paths: Sequence[str | None], *, as_path: bool = False) -> None:
        self.folder = os.fspath(folder)
        self.paths = paths
        self.num_rows = len(paths)
        self._as_path = as_path

    def _cell(self, row: int) -> str | Path | None:
        path = (self.paths[row] or "").strip()
        if not path:
            return None
        joined = os.path.join(self.folder, path)
        return Path(joined) if self._as_path else joined


class ChainedCells(LazyCells):
    """Several sequences one after the other.

    >>> ChainedCells([["a", "b"], ["c"]])[2]
    'c'
    """

    def __init__(self, parts: Sequence[Sequence[Any]]) -> None:
        self.parts = parts
        self._ends = list(accumulate(len(part) for part in parts))
        self.num_rows = self._ends[-1] if parts else 0

    def locate(self, row: int) -> tuple[int, int]:
        """Which part a row stands in, and where in it."""
        part = bisect.bisect_right(self._ends, row)
        return part, row - (self._ends[part - 1] if part else 0)

    def _cell(self, row: int) -> Any:
        part, inside = self.locate(row)
        return self.parts[part][inside]
