"""Split rows into train, val and test: by the source's own split, by group, evenly over strata, or by time."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ..finding import BadInput, nearest
from ..rng import mix
from ..table import SPLITS, Table

__all__ = ["split_rows"]


def split_rows(
    table: Table,
    strata: Sequence[str | None],
    *,
    val: float,
    test: float,
    seed: int,
    group: str | None = None,
    by_time: bool = False,
    hold_out: str | None = None,
) -> dict[str, np.ndarray]:
    """Row numbers of `train`, `val` and `test`, disjoint and sorted, from the table's split, strata and seed alone.

    Rows the source assigns stay there. A missing test split is `test` of the unassigned rows, a missing validation
    split `val` of what is then left for training: drawn, or, by time, the last ones. Whole groups move together: those
    of the column `group`, else the table's own; by time, the only recording that there is is cut all the same.
    Variants of rows stand in no split. With `hold_out`, COLUMN=VALUE, the test rows are those of this value, in place
    of what the source calls its test.
    """
    given = np.array([_assigned(table, row) for row in range(len(table))])
    if hold_out is not None:
        given = _held_out(table, given, hold_out)
    groups = table.groups if group is None else [str(cell) for cell in table.column(group).cells]
    is_one = group is None and groups is not None and len(set(groups)) == 1
    if is_one and by_time:
        groups = None
    free = np.flatnonzero(given == "")
    if not len(free):  # the source calls its training rows train
        free = np.flatnonzero(given == "train")
    if not len(free):
        raise BadInput(
            f"{table.name}: no training rows: the source puts every row in {' and '.join(sorted(set(given)))}"
        )
    rows = {name: np.flatnonzero(given == name) for name in ("val", "test")}
    pool = np.union1d(free, np.flatnonzero(given == "train"))
    for name, share in (("test", test), ("val", val)):
        if not len(rows[name]):
            rows[name] = (
                _last(pool, groups, share) if by_time else _draw(pool, strata, groups, share, mix(seed, len(name)))
            )
            pool = np.setdiff1d(pool, rows[name])
    rows = {"train": pool, "val": rows["val"], "test": rows["test"]}
    if group is not None and groups is not None:
        _check_groups(table, groups, rows)
    for name in SPLITS:
        if not len(rows[name]):
            few = (
                "are parts of one recording, which data.split=time cuts"
                if is_one and not by_time
                else "are too few to split"
            )
            raise BadInput(f"{table.name}: {len(table)} rows {few}: none is left for {name}")
    return rows


def _assigned(table: Table, row: int) -> str:
    """The split that the source puts a row in, or `""`; `variant` for what is no row of the source."""
    if not table.is_own(row):
        return "variant"
    return table.split[row] if table.split[row] in SPLITS else ""


def _held_out(table: Table, given: np.ndarray, hold_out: str) -> np.ndarray:
    name, _, value = hold_out.partition("=")
    cells = [str(cell) for cell in table.column(name).cells]
    if value not in cells:
        raise BadInput(f"data.hold_out={hold_out}: no row of {table.name} has it{nearest(value, sorted(set(cells)))}")
    is_held = np.array([cell == value for cell in cells]) & (given != "variant")
    return np.where(is_held, "test", np.where(given == "test", "", given))


def _last(pool: np.ndarray, groups: Sequence[str] | None, share: float) -> np.ndarray:
    """About `share` of the pool: its last rows, in whole groups, a group standing where its first row does."""
    units: dict[str, list[int]] = {}
    for row in pool.tolist():
        units.setdefault(groups[row] if groups is not None else str(row), []).append(row)
    taken: list[int] = []
    for rows in reversed(units.values()):
        if taken and len(taken) + len(rows) / 2 > share * len(pool):
            break
        taken += rows
    return np.array(sorted(taken), dtype=np.int64)


def _draw(
    pool: np.ndarray, strata: Sequence[str | None], groups: Sequence[str] | None, share: float, seed: int
) -> np.ndarray:
    """About `share` of the pool, evenly over strata: each stratum's shuffled rows are cut at its cumulative quota."""
    units: dict[str, list[int]] = {}
    for row in pool.tolist():
        units.setdefault(groups[row] if groups is not None else str(row), []).append(row)
    by_stratum: dict[str, list[list[int]]] = {}
    for rows in units.values():
        by_stratum.setdefault(str(strata[rows[0]]), []).append(rows)
    random = np.random.Generator(np.random.Philox(seed))
    drawn: list[int] = []
    owed = 0.0  # carries the fractions of small strata over to the next, so that the total comes out right
    for stratum in sorted(by_stratum):
        members = by_stratum[stratum]
        owed += share * sum(len(rows) for rows in members)
        for position in random.permutation(len(members)):
            if owed < len(members[position]) / 2:
                break
            drawn += members[position]
            owed -= len(members[position])
    return np.array(sorted(drawn), dtype=np.int64)


def _check_groups(table: Table, groups: Sequence[str], rows: dict[str, np.ndarray]) -> None:
    """The source's own split may break groups apart; then the group column and the split contradict each other."""
    home: dict[str, str] = {}
    for name, members in rows.items():
        for row in members.tolist():
            if home.setdefault(groups[row], name) != name:
                raise BadInput(
                    f"{table.where(row)}: group {groups[row]!r} stands in {home[groups[row]]} and in {name}:"
                    " the source's own split breaks groups apart; drop data.group or mend the split"
                )
