"""Drift: facts of which the rows of one split differ from those that are learned from."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ..finding import Finding
from ..table import Table
from ..task import Task
from .encode import Encoded

__all__ = ["is_number", "split_mismatch"]

SURE = 0.01  # chance of a false alarm, over all facts and splits (Bonferroni)
APART = 0.1  # share of rows by which two distributions must differ: less does little harm, however sure it is
FEWEST = 10  # rows of a split that can be told about
EXPECTED = 5  # rows of a value in each split, below which values are counted together (Cochran, 1954)


def split_mismatch(task: Task, table: Table, encoded: Encoded, splits: Mapping[str, Sequence[int]]) -> list[Finding]:
    """Facts of which a held-out split is not like the training rows, by two-sample tests of each fact alone.

    Numbers by Kolmogorov and Smirnov's test, everything else by chi-squared.
    """
    rows = {name: [int(row) for row in some if table.is_own(int(row))] for name, some in splits.items()}
    compared = [(role, name) for role, kind in task.kinds.items() for name in (*kind.metadata, *kind.traits)]
    held_out = [name for name in ("val", "test") if len(rows.get(name, ())) >= FEWEST]
    if len(rows.get("train", ())) < FEWEST:
        return []
    drifts: list[dict[str, Any]] = []
    for role, name in compared:
        values = {split: _values(encoded, role, name, rows[split]) for split in ("train", *held_out)}
        for split in held_out:
            if found := _apart(values["train"], values[split]):
                drifts.append({"split": split, "role": role, "fact": name, **found})
    tests = max(1, len(compared) * len(held_out))
    drifts = [drift for drift in drifts if drift["p"] * tests <= SURE and drift["apart"] >= APART]
    if not drifts:
        return []
    drifts.sort(key=lambda drift: -drift["apart"])
    shown = "; ".join(
        f"{drift['role']}: {drift['fact']} {drift['train']} in train, {drift['there']} in {drift['split']}"
        for drift in drifts[:4]
    )
    message = f"held-out rows are not like those that are learned from: {shown}"
    fix = "find out where they come from; a score on them tells little of rows that are like the training's"
    return [Finding("train-val-mismatch", "warning", message, {"facts": drifts}, fix)]


def is_number(value: Any) -> bool:
    """Whether a fact is a number that has a size; True and False are names."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _values(encoded: Encoded, role: str, name: str, rows: Sequence[int]) -> list[Any]:
    facts = (encoded.facts[role][row] for row in rows)
    return [fact[name] for fact in facts if fact is not None and fact.get(name) is not None]


def _apart(learned: Sequence[Any], held_out: Sequence[Any]) -> dict[str, Any] | None:
    """How far two samples are apart, with what chance, and what is usual in each; None where nobody can tell."""
    if min(len(learned), len(held_out)) < FEWEST:
        return None
    if all(map(is_number, (*learned, *held_out))):
        first, second = np.asarray(learned, float), np.asarray(held_out, float)
        if (first == first[0]).all() and (second == first[0]).all():
            return None
        from scipy.stats import ks_2samp

        test = ks_2samp(first, second, method="asymp")
        usual = {"train": f"{np.median(first):.4g}", "there": f"{np.median(second):.4g}"}
        if usual["train"] == usual["there"]:
            usual = {"train": f"{first.mean():.4g}", "there": f"{second.mean():.4g}"}
        return {"apart": round(float(test.statistic), 4), "p": float(test.pvalue), **usual}
    return _apart_in_kind(Counter(map(str, learned)), Counter(map(str, held_out)))


def _apart_in_kind(learned: Counter[str], held_out: Counter[str]) -> dict[str, Any] | None:
    share = held_out.total() / (learned.total() + held_out.total())
    counts: dict[str, list[int]] = {}
    for value in learned | held_out:
        both = learned[value] + held_out[value]
        kept = value if both * min(share, 1 - share) >= EXPECTED else ""
        pair = counts.setdefault(kept, [0, 0])
        pair[0] += learned[value]
        pair[1] += held_out[value]
    if len(counts) < 2:
        return None
    from scipy.stats import chi2_contingency

    table = np.array(list(counts.values())).T  # (2, values)
    shares = table / table.sum(1, keepdims=True)
    furthest = int(np.abs(shares[0] - shares[1]).argmax())
    value = list(counts)[furthest] or "rare ones"
    there, here = (f"{value} {part[furthest]:.0%}" for part in (shares[1], shares[0]))
    apart = float(np.abs(shares[0] - shares[1]).sum() / 2)
    return {"apart": round(apart, 4), "p": float(chi2_contingency(table).pvalue), "train": here, "there": there}
