"""Shortcuts: what a file's size or sound track, or the border of a picture, tells of its label by itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..finding import Finding
from ..rows import Rows
from ..table import Table
from ..task import Task
from .drift import is_number
from .encode import Encoded

__all__ = ["metadata_leaks"]

ROWS = 5000  # looked at, evenly spaced
PERMUTED = 500  # times that the labels are shuffled, to see what a fact tells by chance
SURE = 0.005  # share of shuffled labels that a fact tells as well: with 9 facts, a false alarm in 20 data sets at most
LIKELY = 0.1  # the same, of facts that are named beside a sure one
GAIN = 0.1  # share of what the most frequent label gets wrong that a fact must get right: less does little harm
FEW = 12  # distinct numbers up to which each is a value of its own
BINS = 8  # equally full, of numbers with more


def metadata_leaks(task: Task, table: Table, encoded: Encoded) -> list[Finding]:
    """For each thing given, the facts of its files that tell the answer alone, each by itself.

    A fact answers with the most frequent label among all *other* rows of its value (leave one out, so that a value that
    occurs once tells nothing), and is named where it is right more often than the most frequent label, beyond chance.
    """
    readable = [row for row, facts in enumerate(encoded.facts[task.answer_role]) if facts is not None]
    readable = readable[:: -(-len(readable) // ROWS) or 1]
    rows = Rows(task, table, readable)
    answers = [task.answer_kind.stratum(rows.answer(row)) for row in readable]
    if len(set(answers)) < 2 or None in answers:
        return []
    labels = _codes(answers)
    findings = []
    for role in task.given:
        facts = [encoded.facts[role][row] or {} for row in readable]
        kind = task.kinds[role]
        for check, names in (("metadata-leak", kind.metadata), ("background-leak", kind.background)):
            told = {name: _tells([fact.get(name) for fact in facts], labels) for name in names}
            if found := _finding(check, role, told, labels):
                findings.append(found)
    return findings


def _finding(check: str, role: str, told: dict[str, dict[str, Any] | None], labels: np.ndarray) -> Finding | None:
    majority = float(np.bincount(labels).max() / len(labels))
    leaks = {name: how for name, how in told.items() if how and how["accuracy"] - majority >= GAIN * (1 - majority)}
    leaks = {name: leaks[name] for name in sorted(leaks, key=lambda name: -leaks[name]["accuracy"])}
    sure = [name for name, how in leaks.items() if how["p"] <= SURE]
    if not sure:
        return None

    def shown(names: Sequence[str]) -> str:
        return ", ".join(f"{name} {leaks[name]['accuracy']:.1%}" for name in names)

    seen = "without looking inside" if check == "metadata-leak" else "from the background"
    message = f"{role}: the answer can be told {seen}: {shown(sure)} of rows from this fact alone"
    if likely := [name for name, how in leaks.items() if SURE < how["p"] <= LIKELY]:
        message += f"; perhaps also {shown(likely)}"
    message += f" (one constant answer: {majority:.1%})"
    fix = "a network may learn this in place of what is shown: balance it, or test on rows in which it is alike"
    return Finding(
        check,
        "warning",
        message,
        {"constant": majority, **{name: leaks[name] for name in sure + likely}},
        fix,
    )


def _tells(values: Sequence[Any], labels: np.ndarray) -> dict[str, Any] | None:
    """How often a fact alone is right, and the share of shuffled labels it tells as well; None if it never varies."""
    codes = _codes(values)
    if codes.max() == 0:
        return None
    accuracy = _left_out_accuracy(codes, labels)
    random = np.random.Generator(np.random.Philox(0))
    as_good = sum(_left_out_accuracy(codes, random.permutation(labels)) >= accuracy for _ in range(PERMUTED))
    return {"accuracy": accuracy, "p": (1 + as_good) / (1 + PERMUTED)}


def _left_out_accuracy(codes: np.ndarray, labels: np.ndarray) -> float:
    """The share of rows whose label is the most frequent among the other rows of their value; a tie counts as wrong."""
    width = int(labels.max()) + 1
    counts = np.bincount(codes * width + labels, minlength=(int(codes.max()) + 1) * width).reshape(-1, width)
    ranked = np.sort(counts, axis=1)
    rival = np.where(counts == ranked[:, -1:], ranked[:, -2:-1], ranked[:, -1:])  # the most frequent other label
    return float(counts[counts - 1 > rival].sum() / len(labels))


def _codes(values: Sequence[Any]) -> np.ndarray:
    """Values as numbers from 0: many different numbers by equally full bins, everything else as it is."""
    numbers = [value for value in values if is_number(value)]
    if len(numbers) == len(values) and len(set(numbers)) > FEW:
        edges = np.unique(np.quantile(numbers, np.linspace(0, 1, BINS + 1)[1:-1]))
        values = np.searchsorted(edges, numbers, side="right").tolist()
    codes: np.ndarray = np.unique([str(value) for value in values], return_inverse=True)[1]
    return codes
