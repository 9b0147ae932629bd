"""Audit: what is wrong with the data, found while it is encoded. Each kind adds what it knows to look for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import product
from typing import Any

import numpy as np

from ..finding import Finding, worst_first
from ..table import Table
from ..task import Task
from .drift import split_mismatch
from .encode import Encoded, bad_rows_finding
from .leak import metadata_leaks
from .outliers import outliers

__all__ = ["audit", "near_pairs", "summary"]

SHOWN = 20  # rows named in a finding's evidence


def audit(task: Task, table: Table, encoded: Encoded, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Findings on unreadable rows, duplicates within and across splits, conflicting answers, and what kinds find."""
    findings = [bad_rows_finding(table, encoded.bad)] if encoded.bad else []
    findings += _duplicates(table, encoded, splits)
    findings += _near_duplicates(task, table, encoded, splits)
    findings += _group_overlap(table, splits) + _owner_overlap(table, splits, task.recipe.data.group)
    findings += metadata_leaks(task, table, encoded)
    findings += split_mismatch(task, table, encoded, splits) + outliers(task, table, encoded)
    findings += _neighbours(table, splits) if task.ordered else []
    return worst_first([*findings, *task.audit(_readable_facts(task, encoded))])


def summary(task: Task, encoded: Encoded) -> dict[str, dict[str, Any]]:
    """What there is, by role: class counts, sizes, modes."""
    readable = _readable_facts(task, encoded)
    return {role: kind.summary(readable[role]) for role, kind in task.kinds.items()}


def _readable_facts(task: Task, encoded: Encoded) -> dict[str, list[dict[str, Any]]]:
    """Facts of the source's own rows: a variant of a row says nothing new of the data."""
    table = task.table
    own = [row for row in range(len(encoded.digests)) if table is None or table.is_own(row)]
    return {role: [fact for row in own if (fact := encoded.facts[role][row]) is not None] for role in task.kinds}


def _neighbours(table: Table, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Held-out rows of a recording that stand right beside a training row, which is nearly the same."""
    split_of = {int(row): name for name, rows in splits.items() for row in rows if table.is_own(int(row))}
    held_out = [row for row, name in split_of.items() if name != "train"]
    beside = [row for row in held_out if "train" in (split_of.get(row - 1), split_of.get(row + 1))]
    if 2 * len(beside) <= len(held_out):  # split by time, only the rows at the seams stand beside another split
        return []
    return [
        Finding(
            "recording-leak",
            "warning",
            f"{len(beside)} of {len(held_out)} held-out rows stand right beside a training row of the same recording:"
            " their score is memory, not skill",
            {"rows": [f"{table.where(row)} ({split_of[row]})" for row in beside[:SHOWN]], "count": len(beside)},
            "data.split=time, or a column that names the recording in data.group",
        )
    ]


def _duplicates(table: Table, encoded: Encoded, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    split_of = {int(row): name for name, rows in splits.items() for row in rows}
    same_given: dict[str, list[int]] = {}
    for row in split_of:
        same_given.setdefault(encoded.digests[row].rpartition(" ")[0], []).append(row)
    across: list[list[int]] = []
    within: list[list[int]] = []
    conflicts: list[list[int]] = []
    for rows in same_given.values():
        if len(rows) < 2:
            continue
        if len({encoded.digests[row] for row in rows}) > 1:
            conflicts.append(rows)
        (across if len({split_of[row] for row in rows}) > 1 else within).append(rows)

    def evidence(groups: list[list[int]]) -> dict[str, Any]:
        named = [[f"{table.where(row)} ({split_of[row]})" for row in rows[:5]] for rows in groups[:SHOWN]]
        return {"groups": named, "count": len(groups), "rows": sum(map(len, groups))}

    findings = []
    if across:
        held_out = sum(split_of[row] != "train" for rows in across for row in rows)
        findings.append(
            Finding(
                "split-overlap",
                "warning",
                f"{held_out} held-out rows have an exact copy in another split: their score is memory, not skill",
                evidence(across),
                "remove the copies, or put each set of copies in one split with data.group",
            )
        )
    if conflicts:
        findings.append(
            Finding(
                "label-conflict",
                "warning",
                f"{len(conflicts)} inputs occur more than once with different answers",
                evidence(conflicts),
                "decide which answer is right; no network can give both",
            )
        )
    if within:
        findings.append(
            Finding("duplicates", "note", f"{len(within)} inputs occur more than once within a split", evidence(within))
        )
    return findings


def _group_overlap(table: Table, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Wholes of which parts stand in several splits: the source's own split, another group, or a cut by time."""
    if table.groups is None:
        return []
    homes: dict[str, dict[str, int]] = {}
    for name, rows in splits.items():
        for row in rows:
            homes.setdefault(table.groups[row], {}).setdefault(name, int(row))
    parted = [rows for rows in homes.values() if len(rows) > 1]
    if not parted:
        return []
    if len(homes) == 1:
        message = "all rows are parts of one recording: their score says nothing of others"
        return [Finding("group-overlap", "note", message, {"count": 1}, "test on another recording")]
    named = [[f"{table.where(row)} ({name})" for name, row in rows.items()] for rows in parted[:SHOWN]]
    message = f"{len(parted)} recordings have parts in more than one split: a score on them is partly memory"
    fix = "put all parts of a recording in one split"
    return [Finding("group-overlap", "warning", message, {"groups": named, "count": len(parted)}, fix)]


def _owner_overlap(table: Table, splits: Mapping[str, Sequence[int]], named: str | None) -> list[Finding]:
    """People, or whatever owns rows, that stand in the test and elsewhere: a score on them is of known ones."""
    column = table.owners(named)
    if column is None:
        return []
    held = {name: {str(column.cells[row]) for row in rows} for name, rows in splits.items()}
    shared = sorted(held.get("test", set()) & (held.get("train", set()) | held.get("val", set())))
    if not shared:
        return []
    message = (
        f"each {column.name} of {len(held['test'])} in the test split"
        if len(shared) == len(held["test"])
        else f"{len(shared)} of {len(held['test'])} values of {column.name} in the test split"
    ) + " is learned from too: the score says nothing of others"
    fix = (
        f"data.hold_out={column.name}={shared[0]} tests on one alone; data.group={column.name} keeps each in one split"
    )
    return [Finding("group-overlap", "warning", message, {"values": shared[:SHOWN], "count": len(shared)}, fix)]


def near_pairs(task: Task, encoded: Encoded, splits: Mapping[str, Sequence[int]]) -> list[tuple[int, int]]:
    """Rows that are nearly, but not exactly, the same in the first thing given, the most alike first."""
    split_of = {int(row): name for name, rows in splits.items() for row in rows}
    # Of rows that are exactly the same, one of each split is looked at: many would hide what is near to them.
    same: dict[str, dict[str, int]] = {}
    for row in encoded.sketches:
        if row in split_of:
            same.setdefault(encoded.digests[row].partition(" ")[0], {}).setdefault(split_of[row], row)
    copies = list(same.values())
    if not copies:
        return []
    sketches = np.stack([encoded.sketches[next(iter(rows.values()))] for rows in copies])
    pairs = task.kinds[next(iter(task.given))].near_copies(sketches).tolist()
    return [pair for one, other in pairs for pair in product(copies[one].values(), copies[other].values())]


def _near_duplicates(task: Task, table: Table, encoded: Encoded, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    split_of = {int(row): name for name, rows in splits.items() for row in rows}
    near = near_pairs(task, encoded, splits)
    across = [pair for pair in near if split_of[pair[0]] != split_of[pair[1]]]
    within = [pair for pair in near if split_of[pair[0]] == split_of[pair[1]]]

    def evidence(found: list[tuple[int, int]]) -> dict[str, Any]:
        named = [[f"{table.where(row)} ({split_of[row]})" for row in pair] for pair in found[:SHOWN]]
        return {"pairs": named, "count": len(found)}

    findings = []
    if across:
        held_out = len({row for pair in across for row in pair if split_of[row] != "train"})
        message = (
            f"{held_out} held-out rows are nearly the same as one in another split, e.g. {table.where(across[0][0])}"
        )
        fix = "look at the pairs; rows of one origin belong in one split: data.group"
        findings.append(Finding("near-split-overlap", "warning", message, evidence(across), fix))
    if within:
        message = f"{len(within)} pairs of rows within a split are nearly the same"
        findings.append(Finding("near-duplicates", "note", message, evidence(within)))
    return findings
