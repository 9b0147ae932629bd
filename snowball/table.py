"""Table: rows with typed columns, read from whatever the user has. Cells stay unread until a kind reads them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from .finding import BadInput, nearest

__all__ = ["OWNERS", "SPLITS", "Column", "Part", "Table"]

SPLITS = ("train", "val", "test")
OWNERS = ("speaker", "speaker_id", "spk", "client_id", "subject", "subject_id", "patient", "patient_id", "person")
"""Names of columns that say whose rows they are, in lower case: never an answer unless asked for."""


class Part(NamedTuple):
    """A cell that is a part of a file, from `start` to `end`, as the source has them: text or numbers, in seconds."""

    path: str
    start: Any
    end: Any


@dataclass(frozen=True)
class Column:
    """One typed column. `cells[i]` is what the source holds for row i: a path, bytes, an array or plain text."""

    name: str
    kind: str
    cells: Sequence[Any]


@dataclass(frozen=True)
class Table:
    """Rows with typed columns.

    `split[i]` is `train`, `val`, `test` where the source says so, else `""`. `where(i)` says in the user's own
    terms where row i stands (`labels.csv, row 17`). `defaults` are recipe values this data set is best served by,
    as dotted keys; whatever the user says goes before them. `groups[i]` is what row i was taken from, where rows are
    parts of a whole: a split keeps them together, unless `data.group` names a column to go by. `origins[i]`
    is the row that row i is a variant of, itself for a row of the source; variants can be learned from where their
    origin is a training row, and are never held out.
    """

    name: str
    columns: Mapping[str, Column]
    split: Sequence[str]
    where: Callable[[int], str]
    defaults: Mapping[str, Any] = field(default_factory=dict)
    groups: Sequence[str] | None = None
    origins: Sequence[int] | None = None
    """None: every row is one of the source."""

    def __post_init__(self) -> None:
        lengths = {name: len(column.cells) for name, column in self.columns.items()} | {"split": len(self.split)}
        lengths |= {} if self.groups is None else {"groups": len(self.groups)}
        if len(set(lengths.values())) > 1:
            raise BadInput(f"{self.name}: columns of unequal length {lengths}")
        if not len(self):
            raise BadInput(f"{self.name}: no rows")

    def __len__(self) -> int:
        return len(self.split)

    def is_own(self, row: int) -> bool:
        """Whether a row is one of the source, not a variant of one."""
        return self.origins is None or self.origins[row] == row

    def owners(self, named: str | None = None) -> Column | None:
        """The column that says whose rows they are: the one that is named, else one with such a name."""
        if named is not None and named in self.columns:
            return self.columns[named]
        return next((column for name, column in self.columns.items() if name.lower() in OWNERS), None)

    def column(self, name: str) -> Column:
        """The column called `name`; a missing one is an error that names the nearest."""
        if name not in self.columns:
            known = ", ".join(self.columns)
            raise BadInput(f"{self.name}: no column {name!r}; its columns are {known}{nearest(name, self.columns)}")
        return self.columns[name]
