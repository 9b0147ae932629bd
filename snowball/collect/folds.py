"""Folds: rows dealt into parts of equal size, so that each row can be answered by a network that never saw it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

__all__ = ["deal_folds", "whole_units"]


def whole_units(*labellings: Sequence[str] | None, num_rows: int) -> np.ndarray:
    """Rows that share a value in any of the labellings, and theirs in turn, as units: their numbers (rows,).

    >>> whole_units(["a", "b", "a", "c"], None, ["x", "y", "z", "y"], num_rows=4).tolist()
    [0, 1, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    rows = np.arange(num_rows)
    met = np.empty((0, 2), dtype=np.int64)
    for labelling in labellings:
        if labelling is not None:
            _, first, code = np.unique(np.asarray(labelling, dtype=str), return_index=True, return_inverse=True)
            met = np.concatenate([met, np.stack([rows, first[code]], 1)])
    graph = coo_array((np.ones(len(met), dtype=np.int8), (met[:, 0], met[:, 1])), shape=(num_rows, num_rows))
    units: np.ndarray = connected_components(graph, directed=False)[1]
    return units


def deal_folds(
    units: Iterable[int], strata: Sequence[int], num_folds: int, seed: int, *, by_time: bool = False
) -> np.ndarray:
    """The fold of each row (rows,), 0 to num_folds - 1. Rows of one unit stand in one fold.

    Shuffled units, the largest first, go to the fold that has fewest rows of their strata, then fewest rows: where
    every row is a unit of its own, the counts of a stratum differ by one at most. `by_time`, folds are stretches of
    units that follow one another. No fold is empty where there are as many units as folds.

    >>> deal_folds(range(6), [0, 0, 0, 0, 1, 1], 2, seed=0).tolist()
    [1, 1, 0, 0, 0, 1]
    """
    members: dict[int, list[int]] = {}
    for row, unit in enumerate(units):
        members.setdefault(int(unit), []).append(row)
    held = list(members.values())
    folds = np.zeros(len(strata), dtype=np.int64)
    if by_time:
        for place, rows in enumerate(held):
            folds[rows] = place * num_folds // len(held)
        return folds
    random = np.random.Generator(np.random.Philox(seed))
    shuffled = [held[place] for place in random.permutation(len(held))]
    sizes = [0] * num_folds
    counts: dict[int, list[int]] = {}
    for rows in sorted(shuffled, key=len, reverse=True):
        of_unit = [strata[row] for row in rows]
        found = [counts.setdefault(stratum, [0] * num_folds) for stratum in dict.fromkeys(of_unit)]
        fold = min(range(num_folds), key=lambda fold: (sum(count[fold] for count in found), sizes[fold]))
        folds[rows] = fold
        sizes[fold] += len(rows)
        for stratum in of_unit:
            counts[stratum][fold] += 1
    return folds
