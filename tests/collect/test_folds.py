"""Folds: rows dealt evenly, in whole units, the same each time."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowball.collect.folds import deal_folds, whole_units


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.integers(2, 6), st.integers(0, 9))
def test_rows_of_their_own_are_dealt_evenly_over_strata(strata: list[int], num_folds: int, seed: int) -> None:
    folds = deal_folds(range(len(strata)), strata, num_folds, seed)
    for stratum in set(strata):
        counts = np.bincount(folds[np.array(strata) == stratum], minlength=num_folds)
        assert counts.max() - counts.min() <= 1
    assert (folds == deal_folds(range(len(strata)), strata, num_folds, seed)).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 3)), min_size=4, max_size=80), st.integers(2, 5))
def test_a_unit_stands_in_one_fold(rows: list[tuple[int, int]], num_folds: int) -> None:
    units, strata = [unit for unit, _ in rows], [stratum for _, stratum in rows]
    folds = deal_folds(units, strata, num_folds, 0)
    assert all(len({fold for fold, one in zip(folds, units, strict=True) if one == unit}) == 1 for unit in units)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9), min_size=2, max_size=60), st.data(), st.booleans())
def test_no_fold_is_empty(units: list[int], data: st.DataObject, by_time: bool) -> None:
    num_folds = data.draw(st.integers(1, len(set(units))))
    strata = data.draw(st.lists(st.integers(0, 2), min_size=len(units), max_size=len(units)))
    folds = deal_folds(units, strata, num_folds, 0, by_time=by_time)
    assert set(folds.tolist()) == set(range(num_folds))


def test_folds_of_whole_strata_are_about_equal() -> None:
    """A hundred patients with 1 to 20 rows each."""
    random = np.random.default_rng(0)
    units = np.repeat(np.arange(100), random.integers(1, 21, 100))
    strata = random.integers(0, 3, len(units)).tolist()
    sizes = np.bincount(deal_folds(units.tolist(), strata, 5, 0))
    assert sizes.min() > 0.9 * sizes.max()


def test_another_seed_deals_otherwise() -> None:
    strata = [0, 1] * 20
    assert (deal_folds(range(40), strata, 4, 0) != deal_folds(range(40), strata, 4, 1)).any()


def test_by_time_folds_are_stretches() -> None:
    folds = deal_folds([0, 0, 1, 2, 3, 4, 4, 5], [0, 1] * 4, 4, 0, by_time=True)
    assert folds.tolist() == sorted(folds.tolist()) and set(folds) == {0, 1, 2, 3}


def test_what_is_shared_joins_rows_over_several_labellings() -> None:
    """a shares a patient with b, and b its picture with c: all three are one unit."""
    units = whole_units(["p", "p", "q", "r"], ["1", "2", "2", "3"], num_rows=4)
    assert units[0] == units[1] == units[2] != units[3]
    assert whole_units(None, num_rows=3).tolist() == [0, 1, 2]


@pytest.mark.parametrize("num", [60_000])
def test_many_rows_are_dealt_in_a_moment(num: int) -> None:
    folds = deal_folds(range(num), (np.arange(num) % 10).tolist(), 5, 0)
    assert np.bincount(folds).tolist() == [num // 5] * 5
