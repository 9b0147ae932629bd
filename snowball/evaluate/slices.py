"""Slices: rows that share a fact, such as their class, their length, how dark they are or whose they are, and do worse.

N rows. Each slice's faults are compared with those of all other rows by their ranks (Mann and Whitney, 1947), and the
chances are corrected for the number of slices that were looked at (Holm, 1979), so that what is named is no accident of
having looked at many.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from ..finding import Finding, Severity
from ..kind import Block
from ..task import Task

if TYPE_CHECKING:
    from ..collect.encode import Encoded

__all__ = ["Slice", "slices_of", "weak_slices", "worse_by_chance"]

LEAST = 15  # rows in a slice, and beside it: below that ranks are not near enough to normal
VALUES = 60  # of one fact that make slices of their own: classes, speakers
STEPS = 10  # different numbers up to which each is a slice; more are cut into quarters
CHANCE = 0.01  # that anything at all is named where nothing is worse
CLEAR = 1.25  # times the mean fault of the other rows: less is not worth a word
MUCH = 2.0  # times, from which it is a warning
SHOWN = 12  # slices in the report


@dataclass(frozen=True)
class Slice:
    """Rows that share a fact: `inside` (N,) says which."""

    name: str
    inside: np.ndarray


def weak_slices(
    task: Task,
    encoded: Encoded,
    rows: Sequence[int],
    predictions: Sequence[Mapping[str, Any]],
    answers: Sequence[Any],
    faults: np.ndarray,
) -> tuple[list[Finding], list[Block]]:
    """A finding on the slices that do worse, and the table of those that come nearest to it."""
    found = list(_distinct(slices_of(task, encoded, rows)))
    if not found or not faults.any():
        return [], []
    alike = 2 * len(rows) ** (1 / 3) if task.ordered else 1.0  # neighbours in a recording that say the same
    chances = worse_by_chance(faults, [one.inside for one in found], alike)
    metric = task.headline
    table, weak = [], []
    for i in np.argsort(chances, kind="stable")[:SHOWN]:
        inside = found[i].inside
        within, others = (
            task.score([predictions[j] for j in places], [answers[j] for j in places])[metric.name]
            for places in (np.flatnonzero(inside).tolist(), np.flatnonzero(~inside).tolist())
        )
        table.append([found[i].name, int(inside.sum()), round(within, 4), round(others, 4), float(f"{chances[i]:.2g}")])
        times = float(faults[inside].mean() / max(float(faults[~inside].mean()), 1e-12))
        if chances[i] < CHANCE and times > CLEAR and metric.better(others, within):
            weak.append((times, table[-1]))
    columns = ["rows where", "rows", metric.name, f"{metric.name} of all others", "chance"]
    note = f"chance: of looking so much worse by accident, corrected for the {len(found)} slices that were compared"
    block = Block("Slices", "table", {"columns": columns, "rows": table}, note)
    return ([_finding(weak, columns)] if weak else []), [block]


def _finding(weak: list[tuple[float, list[Any]]], columns: list[str]) -> Finding:
    _, (name, count, within, others, chance) = weak[0]
    severity: Severity = "warning" if max(times for times, _ in weak) > MUCH else "note"
    more = f" (and {len(weak) - 1} more slices)" if len(weak) > 1 else ""
    message = f"the {count} rows where {name} do worse: {columns[2]} {within:.4g}, all others {others:.4g}{more}"
    evidence = {"slices": [dict(zip(columns, row, strict=True)) for _, row in weak], "chance": chance}
    fix = "look at these rows, collect more like them, or say in the card what the network is not for"
    return Finding("weak-slice", severity, message, evidence, fix)


def slices_of(task: Task, encoded: Encoded, rows: Sequence[int]) -> Iterator[Slice]:
    """Slices of table rows by every fact that an audit knows of them, and by whose they are."""
    for role in encoded.facts:
        facts = [encoded.facts[role][row] or {} for row in rows]
        for name in dict.fromkeys(key for fact in facts for key in fact):
            called = name if role in (task.answer_role, name) or len(task.given) == 1 else f"{role} {name}"
            yield from _by_fact(called, [fact.get(name) for fact in facts])
    owners = task.table.owners(task.recipe.data.group) if task.table else None
    if owners is not None:
        yield from _by_fact(owners.name, [str(owners.cells[row]) for row in rows])


def _by_fact(name: str, values: Sequence[Any]) -> Iterator[Slice]:
    """One slice a value, quarters of numbers, and for counts of things the rows that hold one."""
    if any(isinstance(value, Mapping) for value in values):
        held = [value if isinstance(value, Mapping) else {} for value in values]
        things = list(dict.fromkeys(key for value in held for key in value))
        for thing in things if len(things) <= VALUES else []:
            yield Slice(f"{name} hold {thing!r}", np.array([bool(value.get(thing)) for value in held]))
        return
    numbers = [value for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if len(numbers) == len(values) and len(set(numbers)) > STEPS:
        cells = np.array(values, dtype=float)
        low, middle, high = (float(q) for q in np.quantile(cells, [0.25, 0.5, 0.75]))
        yield Slice(f"{name} up to {low:.4g}", cells <= low)
        yield Slice(f"{name} from {low:.4g} to {middle:.4g}", (cells > low) & (cells <= middle))
        yield Slice(f"{name} from {middle:.4g} to {high:.4g}", (cells > middle) & (cells <= high))
        yield Slice(f"{name} above {high:.4g}", cells > high)
        return
    plain = [value if isinstance(value, str | int | float) else None for value in values]
    different = list(dict.fromkeys(value for value in plain if value is not None))
    if 1 < len(different) <= VALUES:
        for one in different:
            yield Slice(f"{name} is {one}", np.array([value == one for value in plain]))


def _distinct(slices: Iterator[Slice]) -> Iterator[Slice]:
    """Those with enough rows inside and beside them, and none twice under two names."""
    seen: set[bytes] = set()
    for one in slices:
        count = int(one.inside.sum())
        key = one.inside.tobytes()
        if count >= LEAST and len(one.inside) - count >= LEAST and key not in seen:
            seen.add(key)
            yield one


def worse_by_chance(faults: np.ndarray, slices: Sequence[np.ndarray], alike: float = 1.0) -> np.ndarray:
    """The chance, for each slice (N,) of bools, that its faults rank so high by accident; corrected for all of them.

    `alike` is how many rows in a row say the same, which widens what chance does.

    >>> faults = np.repeat([0.0, 1.0, 0.0], [80, 10, 10])
    >>> worse_by_chance(faults, [np.arange(100) >= 80, np.arange(100) % 2 == 0]).round(3).tolist()
    [0.0, 0.5]
    """
    _different, place, times = np.unique(faults, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(times) - (times - 1) / 2)[place.reshape(-1)]  # (N,), the mean rank of equals
    num = len(faults)
    ties = float((times.astype(float) ** 3 - times).sum()) / (num * (num - 1))
    chances = []
    for inside in slices:
        count = int(inside.sum())
        above = float(ranks[inside].sum()) - count * (num + 1) / 2
        spread = math.sqrt(max(1e-12, count * (num - count) / 12 * (num + 1 - ties) * alike))
        chances.append(0.5 * math.erfc(above / spread / math.sqrt(2)))
    order = np.argsort(chances, kind="stable")
    corrected = np.empty(len(chances))
    worst = 0.0
    for done, i in enumerate(order):
        worst = max(worst, min(1.0, chances[i] * (len(chances) - done)))
        corrected[i] = worst
    return corrected
