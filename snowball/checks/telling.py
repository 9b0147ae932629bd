"""How well a feature tells the answer, by itself or as one of a few.

table: (N, D) features of N rows, y: (N,) their answers.
"""

from __future__ import annotations

import numpy as np

from .split import Rows

__all__ = ["by_itself", "by_value", "correlations", "left_over", "linear", "most_telling"]


def most_telling(table: np.ndarray, y: np.ndarray, classes: np.ndarray, most: int = 40) -> np.ndarray:
    """The columns that vary least within classes, as a share of how they vary in all."""
    total = np.maximum(table.var(0), 1e-12)
    within = sum(table[y == label].var(0) * float((y == label).mean()) for label in classes)
    share = np.where(table.var(0) > 1e-12, within / total, 1.0)
    order = np.argsort(share)[:most]
    return order[share[order] < 0.5]


def by_value(column: np.ndarray, y: np.ndarray) -> float:
    """How well a column's value tells the class, learned from every other row; in bins where it has many values."""
    values, codes = np.unique(column, return_inverse=True)
    if len(values) > 64:
        return by_itself(column, y, False)
    half = np.arange(len(y)) % 2 == 0
    counts = np.zeros((len(values), int(y.max()) + 1))
    np.add.at(counts, (codes[half], y[half]), 1)
    return float((counts.argmax(1)[codes[~half]] == y[~half]).mean())


def linear(table: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(D,): Pearson's correlation of each feature with the answers; 0 where a feature does not vary."""
    centred, wanted = table - table.mean(0), y - y.mean()
    size = np.sqrt((centred**2).sum(0) * (wanted**2).sum())
    related: np.ndarray = centred.T @ wanted / np.maximum(size, 1e-12)
    return related


def correlations(rows: Rows) -> tuple[np.ndarray, float]:
    """(D,): of each feature and the answers; 0 where a feature does not vary. And how many rows they rest on.

    Of two classes as it would be if both were as often, from how far their means lie apart.
    """
    assert rows.x is not None and rows.y is not None
    table, y = rows.x.astype(np.float64), rows.y
    if rows.numbers:
        found, count = linear(table, y), float(len(y))
    else:
        one, two = table[y == y.max()], table[y != y.max()]
        spread = np.sqrt((one.var(0) + two.var(0)) / 2)
        apart = (one.mean(0) - two.mean(0)) / np.maximum(spread, 1e-9)
        found, count = np.where(spread > 1e-9, apart / np.sqrt(apart**2 + 4), 0.0), 4 * len(one) * len(two) / len(y)
    return np.clip(found, -0.999999, 0.999999), count


def left_over(given: np.ndarray, wanted: np.ndarray) -> float:
    """The share of variance that a plane leaves."""
    fitted = given @ np.linalg.lstsq(given, wanted, rcond=None)[0]
    return float(np.square(wanted - fitted).mean() / max(wanted.var(), 1e-12))


def by_itself(feature: np.ndarray, y: np.ndarray, numbers: bool) -> float:
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
