"""Outliers: rows that are far from all others in one fact, such as a picture of twice the size or a number mistyped."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..finding import Finding
from ..table import Table
from ..task import Task
from .drift import is_number
from .encode import Encoded

__all__ = ["outliers"]

SHOWN = 20
FEWEST = 20  # rows from which what is usual can be told
FAR = 5.0  # spreads beyond the quartiles: 7 standard deviations of a normal distribution, where Tukey's fences are 2.7
FLOOR = 0.1  # a spread is at least this: 10 % of what is usual
RARE = 0.01  # share of the rows, above which they are no outliers but another sort of rows


def outliers(task: Task, table: Table, encoded: Encoded) -> list[Finding]:
    """One note that names the rows that are outliers in any fact of any role."""
    own = [row for row in range(len(table)) if table.is_own(row)]
    found: list[dict[str, Any]] = []
    for role, kind in task.kinds.items():
        for name in (*kind.metadata, *kind.traits):
            held = [(row, fact[name]) for row in own if (fact := encoded.facts[role][row]) and name in fact]
            numbers = [(row, value) for row, value in held if is_number(value) and value == value]
            rows, values = [row for row, _ in numbers], np.array([float(value) for _, value in numbers])
            usual = float(np.median(values)) if len(values) else 0.0
            found += [
                {"where": table.where(rows[at]), "role": role, "fact": name, "value": float(values[at]), "usual": usual}
                for at in far_off(values)
            ]
    if not found:
        return []
    first = found[0]
    number = len({row["where"] for row in found})
    message = (
        f"{number} rows are far from all others, e.g. {first['where']}: {first['fact']} {first['value']:.4g},"
        f" where {first['usual']:.4g} is usual"
    )
    return [Finding("outliers", "note", message, {"rows": found[:SHOWN], "count": number}, "look whether they belong")]


def far_off(values: np.ndarray) -> Sequence[int]:
    """Which of these numbers (N,) are far from all others. Where all are above 0, their logarithms are compared.

    >>> list(far_off(np.array([27.0, 28, 30] * 10 + [31, 290])))
    [31]
    """
    if len(values) < FEWEST:
        return []
    if values.min() > 0:
        scaled, floor = np.log(values), FLOOR
    else:
        scaled, floor = values, FLOOR * float(np.abs(values).mean())
    low, first, third, high = np.quantile(scaled, [0.05, 0.25, 0.75, 0.95])
    spread = max(third - first, (high - low) / 2.5, floor)  # the quartiles of a normal distribution are 1/2.44 of these
    far = np.flatnonzero((scaled < first - FAR * spread) | (scaled > third + FAR * spread))
    return far.tolist() if len(far) <= max(1, RARE * len(values)) else []
