"""Inputs that hold what is only known once the answer is.

x: (N, D) features of N rows, y: (N,) their answers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch

from ..finding import Finding
from .control import features, out_of_fold
from .lab import Lab
from .nested import leaves
from .split import rows_table

__all__ = ["target_leak"]

EXACT = 1e-9  # of the target's variance: what rounding to 32 bits leaves, and no noise that was ever measured


def target_leak(lab: Lab) -> Iterator[Finding]:
    """One feature of many that gives the answer by itself, where the others together do not."""
    rows = rows_table(lab, "train")
    if not rows.usable or rows.y is None:
        return
    if rows.numbers:
        yield from _copied(lab, rows.y)
        yield from _worked_out(lab, rows.y)
    else:
        yield from _in_one_place(lab, rows.y)
    yield from _means_of_answers(lab, rows.y)
    floats = [t for _, t in leaves(lab.train.inputs) if t.dim() == 2 and len(t) == len(lab.train)]
    if not floats:
        return
    table = torch.cat([t.float() for t in floats], 1).numpy()
    if table.shape[1] < 3 or table.shape[1] > 400 or lab.answer.form == "unknown":
        return
    if not all(t.is_floating_point() for t in floats):
        return
    y = rows.y
    alone = np.array([_alone(table[:, j], y, rows.numbers) for j in range(table.shape[1])])
    best = int(alone.argmax())
    order = np.sort(alone)
    second = float(order[-2])
    if alone[best] < 0.9 or alone[best] - second < 0.02:
        return
    rest = np.delete(table, best, 1)
    without, _ = out_of_fold(rest, y, rows.numbers)
    base = 0.0 if rows.numbers else float(np.bincount(y).max() / len(y))
    evidence = {
        "feature": best,
        "alone": float(alone[best]),
        "next_best": second,
        "others_together": without,
        "constant": base,
    }
    margin = (alone[best] - without) / max(1e-6, 1 - without)
    if rows.numbers:  # what a leak leaves over is noise; what a cause leaves over, other causes explain
        line = np.polynomial.Polynomial.fit(table[:, best], y, 1)
        evidence["rest_explained"], _ = out_of_fold(rest, y - line(table[:, best]), True)
        if evidence["rest_explained"] > 0.1:
            return
    if alone[best] > 0.97 and margin > 0.5 and alone[best] - without > 0.01:
        message = f"feature {best} alone gives {alone[best]:.1%} of answers, all others together {without:.1%}"
        yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")


def _in_one_place(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A pixel or a word at one place that tells the class by itself, where all others together tell less of it."""
    classes = np.unique(y)
    for name, tensor in leaves(lab.train.inputs):
        table = tensor.reshape(len(y), -1).double().numpy() if len(tensor) == len(y) and tensor.dim() > 1 else None
        wide = tensor.dim() > 2 or not tensor.is_floating_point()
        if table is None or not wide or not 8 <= table.shape[1] <= 50_000 or len(classes) > 50:
            continue
        alone = np.zeros(table.shape[1])
        for column in _telling(table, y, classes):
            alone[column] = _by_value(table[:, column], y)
        found = np.flatnonzero(alone > 0.97)
        if not 0 < len(found) <= 0.1 * table.shape[1]:
            continue
        rest = features(tensor.reshape(len(y), -1)[:, torch.as_tensor(np.flatnonzero(alone <= 0.9))], len(y))
        assert rest is not None
        without, _ = out_of_fold(rest, y, False)
        base, best = float(np.bincount(y).max() / len(y)), float(alone.max())
        # where nothing else tells anything, that place is the problem that was set
        if without - base > 0.1 * (1 - base) and best - without > max(0.01, 0.5 * (1 - without)):
            evidence = {"input": name, "places": found[:10].tolist(), "alone": best, "others_together": without}
            message = f"number {int(found[0])} of each row tells {best:.1%} of answers, all others {without:.1%}"
            yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")
            return


def _telling(table: np.ndarray, y: np.ndarray, classes: np.ndarray, most: int = 40) -> np.ndarray:
    """The columns that vary least within classes, as a share of how they vary in all."""
    total = np.maximum(table.var(0), 1e-12)
    within = sum(table[y == label].var(0) * float((y == label).mean()) for label in classes)
    share = np.where(table.var(0) > 1e-12, within / total, 1.0)
    order = np.argsort(share)[:most]
    return order[share[order] < 0.5]


def _by_value(column: np.ndarray, y: np.ndarray) -> float:
    """How well a column's value tells the class, learned from every other row; in bins where it has many values."""
    values, codes = np.unique(column, return_inverse=True)
    if len(values) > 64:
        return _alone(column, y, False)
    half = np.arange(len(y)) % 2 == 0
    counts = np.zeros((len(values), int(y.max()) + 1))
    np.add.at(counts, (codes[half], y[half]), 1)
    return float((counts.argmax(1)[codes[~half]] == y[~half]).mean())


def _copied(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A number among several that is the target itself, or a line of it."""
    for name, tensor in leaves(lab.train.inputs):
        if not tensor.is_floating_point() or len(tensor) != len(y):
            continue
        table = tensor.reshape(len(y), -1).double().numpy()
        if not 3 <= table.shape[1] <= 5000:
            continue
        centred, wanted = table - table.mean(0), y - y.mean()
        size = np.sqrt((centred**2).sum(0) * (wanted**2).sum())
        related = np.abs(centred.T @ wanted) / np.maximum(size, 1e-12)
        found = np.flatnonzero(related > 0.99999)
        if 0 < len(found) <= 0.2 * table.shape[1] + 1:
            message = f"number {int(found[0])} of each row of the input is the target itself"
            evidence = {"input": name, "places": found[:10].tolist()}
            yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")
            return


def _worked_out(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A few features of a table out of which the target can be worked out exactly, though others tell of it as well.

    A mean over days that takes in the day asked for, less the days before, is that day.
    """
    floats = [t for _, t in leaves(lab.train.inputs) if t.is_floating_point() and t.dim() == 2 and len(t) == len(y)]
    if len(floats) != 1 or not 4 <= floats[0].shape[1] <= 200 or len(y) < 3 * floats[0].shape[1]:
        return
    table = floats[0].double().numpy()
    used = [column for column in range(table.shape[1]) if table[:, column].std() > 1e-9]
    scaled = (table[:, used] - table[:, used].mean(0)) / table[:, used].std(0)
    wanted = (y - y.mean()) / y.std()

    def left(columns: list[int]) -> float:
        """The share of the target's variance that a plane of these columns leaves."""
        fitted = scaled[:, columns] @ np.linalg.lstsq(scaled[:, columns], wanted, rcond=None)[0]
        return float(np.square(wanted - fitted).mean())

    columns = list(range(len(used)))
    if left(columns) > EXACT:
        return
    for column in tuple(columns):
        fewer = [one for one in columns if one != column]
        if fewer and left(fewer) < EXACT:
            columns = fewer
    others = [column for column in range(len(used)) if column not in columns]
    # a rule without noise is a problem that somebody set; there, features it does not use tell nothing
    if 1 < len(columns) <= len(used) // 2 and left(others) < 0.7:
        places = [used[column] for column in columns]
        message = f"the target is a sum of multiples of features {places}, to the last digit"
        evidence = {"features": places, "explained_by_others": 1 - left(others)}
        yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")


def _means_of_answers(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A feature that is, for each kind of row, the mean of those rows' own answers, and tells less of held-out rows.

    Kinds with few rows are given away so; means of other rows' answers are not these.
    """
    tables = [t for _, t in leaves(lab.train.inputs) if t.is_floating_point() and t.dim() == 2 and len(t) == len(y)]
    classes = np.unique(y)
    if len(tables) != 1 or not 2 <= tables[0].shape[1] <= 200 or (y.dtype.kind == "i" and len(classes) > 2):
        return
    table, answers = tables[0].double().numpy(), (y == classes[-1]) * 1.0 if y.dtype.kind == "i" else y
    for column in range(table.shape[1]):
        values, kinds, sizes = np.unique(table[:, column], return_inverse=True, return_counts=True)
        if not 10 <= len(values) <= len(y) // 2:
            continue
        means = np.bincount(kinds, answers) / sizes
        line = np.polynomial.Polynomial.fit(values, means, 1)
        left = float(np.average((means - line(values)) ** 2, weights=sizes) / max(means.var(), 1e-12))
        honest = _told(lab, column, answers, classes)
        told = float(np.corrcoef(table[:, column], answers)[0, 1] ** 2)
        if left < EXACT * 1000 and told - honest > 0.1:
            message = (
                f"feature {column} is the mean of the answers of rows of its value, each row's own among them: it tells"
                f" {told:.0%} of their variance, and {honest:.0%} in held-out rows"
            )
            evidence = {"feature": column, "values": len(values), "told": told, "told_held_out": honest}
            fix = "take each row's mean from other rows' answers, fold by fold"
            yield Finding("target-leak", "error", message, evidence, fix)
            return


def _told(lab: Lab, column: int, answers: np.ndarray, classes: np.ndarray) -> float:
    """How much of held-out answers' variance a line of the feature tells; all of it where that is not known."""
    val = lab.val
    rows = rows_table(lab, "val") if val is not None and len(val) >= 30 else None
    if val is None or rows is None or rows.y is None:
        return 1.0
    (table,) = [t for _, t in leaves(val.inputs) if t.is_floating_point() and t.dim() == 2 and len(t) == len(val)]
    held = (rows.y == classes[-1]) * 1.0 if not rows.numbers else rows.y
    found = np.corrcoef(table[:, column].numpy(), held)[0, 1]
    return float(np.nan_to_num(found) ** 2)


def _alone(feature: np.ndarray, y: np.ndarray, numbers: bool) -> float:
    """How well a feature answers by itself: R squared of a line or of 20 bins, or accuracy of bins, out of fold."""
    if feature.std() < 1e-12:
        return 0.0
    half = np.arange(len(y)) % 2 == 0
    edges = np.unique(np.quantile(feature[half], np.linspace(0, 1, 21)[1:-1]))
    bins = np.searchsorted(edges, feature, side="right")
    if numbers:
        return float(np.corrcoef(feature, y)[0, 1] ** 2)
    table = np.zeros((len(edges) + 1, int(y.max()) + 1))
    np.add.at(table, (bins[half], y[half]), 1)
    return float((table.argmax(1)[bins[~half]] == y[~half]).mean())
