"""Audit: what is wrong with the data, found while it is encoded. Each kind adds what it knows to look for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..finding import Finding, worst_first
from ..table import Table
from ..task import Task
from .encode import Encoded, bad_rows_finding

__all__ = ["audit", "summary"]

SHOWN = 20  # rows named in a finding's evidence


def audit(task: Task, table: Table, encoded: Encoded, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Findings on unreadable rows, duplicates within and across splits, conflicting answers, and what kinds find."""
    findings = [bad_rows_finding(table, encoded.bad)] if encoded.bad else []
    findings += _duplicates(table, encoded, splits)
    for role, kind in task.kinds.items():
        readable = [fact for fact in encoded.facts[role] if fact is not None]
        findings += kind.audit(readable) if readable else []
    return worst_first(findings)


def summary(task: Task, encoded: Encoded) -> dict[str, dict[str, Any]]:
    """What there is, by role: class counts, sizes, modes."""
    readable = {role: [fact for fact in encoded.facts[role] if fact is not None] for role in task.kinds}
    return {role: kind.summary(readable[role]) for role, kind in task.kinds.items()}


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
