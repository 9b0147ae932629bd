"""Schema: what the data taught. With the recipe it rebuilds a task without the data."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

__all__ = ["ColumnSchema", "Schema", "fingerprint"]


@dataclass(frozen=True)
class ColumnSchema:
    """One role of a task: the source's column, its kind, and what the kind learned from the training rows."""

    column: str
    kind: str
    state: dict[str, Any]


@dataclass(frozen=True)
class Schema:
    """What the data taught: enough, with the recipe, to rebuild the task without the data. Kept as schema.json."""

    task: str
    columns: dict[str, ColumnSchema]
    splits: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Rows and content fingerprint of each split."""
    origin: str = ""
    """The data's name."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Schema:
        columns = {role: ColumnSchema(**column) for role, column in value["columns"].items()}
        return cls(value["task"], columns, dict(value["splits"]), value["origin"])


def fingerprint(digests: Sequence[str]) -> str:
    """SHA-256 over the rows' digests, in order."""
    return hashlib.sha256("\n".join(digests).encode()).hexdigest()
