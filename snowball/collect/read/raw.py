"""Raw: columns as a file holds them, before anyone has said what they mean."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...finding import BadInput
from .cells import ChainedCells

__all__ = ["Raw", "chain_raws"]


@dataclass(frozen=True)
class Raw:
    """What a reader found.

    `origin` is named in errors. `folder` is what relative paths start from; where `sealed` they may not leave it.
    `kinds` are the kinds that the source itself states. `split` is its own split, where it states one.
    """

    origin: str | Path
    columns: Mapping[str, Sequence[Any]]
    where: Callable[[int], str]
    folder: Path | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)
    split: Sequence[str] | None = None
    sealed: bool = False

    def __len__(self) -> int:
        return len(next(iter(self.columns.values()), ()))


def chain_raws(origin: str | Path, parts: Mapping[str, Raw]) -> Raw:
    """Several sources with the same columns as one; `parts` maps each one's split to it, in order."""
    (first_split, first), *others = parts.items()
    for split, other in others:
        if different := sorted(set(first.columns) ^ set(other.columns)):
            has, lacks = (first, other) if different[0] in first.columns else (other, first)
            raise BadInput(
                f"{lacks.origin}: no column {different[0]!r}, which {has.origin} has:"
                f" {first_split} and {split} need the same columns"
            )
    raws = list(parts.values())
    rows = ChainedCells([range(len(raw)) for raw in raws])

    def where(row: int) -> str:
        part, inside = rows.locate(row)
        return raws[part].where(inside)

    columns: dict[str, Sequence[Any]] = {}
    for name in first.columns:
        cells = [raw.columns[name] for raw in raws]
        is_list = all(isinstance(part, list) for part in cells)
        columns[name] = [cell for part in cells for cell in part] if is_list else ChainedCells(cells)
    splits = [name for name, raw in parts.items() for _ in range(len(raw))]
    kinds = {name: kind for raw in raws for name, kind in raw.kinds.items()}
    return Raw(origin, columns, where, first.folder, kinds, splits, first.sealed)
