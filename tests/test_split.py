"""Splits: disjoint, stratified, whole groups, the source's own split respected, and the same every time."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snowball.collect.split import split_rows
from snowball.finding import BadInput
from snowball.table import Column, Table


def table(num: int, split: list[str] | None = None, groups: list[str] | None = None) -> Table:
    columns = {"x": Column("x", "text", [str(i) for i in range(num)])}
    if groups is not None:
        columns["who"] = Column("who", "text", groups)
    return Table("t", columns, split or [""] * num, lambda row: f"row {row}")


@settings(max_examples=100, deadline=None)
@given(st.integers(20, 300), st.integers(1, 6), st.integers(0, 5))
def test_splits_are_disjoint_whole_and_stratified(num: int, classes: int, seed: int) -> None:
    strata = [str(i % classes) for i in range(num)]
    rows = split_rows(table(num), strata, val=0.2, test=0.2, seed=seed)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(num))
    counts = Counter(strata[row] for row in rows["test"])
    assert abs(len(rows["test"]) - 0.2 * num) <= 1
    assert all(abs(counts[stratum] - 0.2 * strata.count(stratum)) <= 1 for stratum in set(strata))


def test_the_seed_alone_decides() -> None:
    strata = [str(i % 3) for i in range(90)]
    first, again, other = (split_rows(table(90), strata, val=0.2, test=0.2, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["test"], other["test"])


def test_groups_stay_together() -> None:
    groups = [str(i // 7) for i in range(210)]
    rows = split_rows(table(210, groups=groups), [None] * 210, val=0.2, test=0.2, seed=0, group="who")
    homes = [{groups[row] for row in members} for members in rows.values()]
    assert not homes[0] & homes[1] | homes[0] & homes[2] | homes[1] & homes[2]
    assert 28 <= len(rows["test"]) <= 56


def test_the_only_recording_is_cut_by_time_alone() -> None:
    film = replace(table(10), groups=["a.mp4"] * 10)
    rows = split_rows(film, [None] * 10, val=0.2, test=0.2, seed=0, by_time=True)
    assert [members.tolist() for members in rows.values()] == [[0, 1, 2, 3, 4, 5], [6, 7], [8, 9]]
    with pytest.raises(BadInput, match=r"10 rows are parts of one recording, which data\.split=time cuts"):
        split_rows(film, [None] * 10, val=0.2, test=0.2, seed=0)
    with pytest.raises(BadInput, match="2 rows are too few to split"):
        split_rows(replace(table(2), groups=["a.mp4"] * 2), [None] * 2, val=0.2, test=0.2, seed=0, by_time=True)


def test_the_tables_own_groups_stay_together_unless_a_column_is_named() -> None:
    groups = [str(i // 7) for i in range(210)]
    whole = replace(table(210, groups=[str(i // 10) for i in range(210)]), groups=groups)
    for named, expected in ((None, groups), ("who", whole.columns["who"].cells)):
        rows = split_rows(whole, [None] * 210, val=0.2, test=0.2, seed=0, group=named)
        homes = [{expected[row] for row in members} for members in rows.values()]
        assert not homes[0] & homes[1] | homes[0] & homes[2] | homes[1] & homes[2]
    own = replace(whole, split=["test" if i % 2 else "" for i in range(210)])  # the source breaks them apart: let it
    assert len(split_rows(own, [None] * 210, val=0.2, test=0.2, seed=0)["test"]) == 105


def test_the_sources_own_test_split_is_kept() -> None:
    split = [""] * 60 + ["test"] * 20
    rows = split_rows(table(80, split), [None] * 80, val=0.25, test=0.5, seed=0)
    assert rows["test"].tolist() == list(range(60, 80))
    assert len(rows["val"]) == 15


def test_a_source_with_only_train_and_val_gives_a_test_split_of_train() -> None:
    split = ["train"] * 60 + ["val"] * 20
    rows = split_rows(table(80, split), [None] * 80, val=0.25, test=0.25, seed=0)
    assert rows["val"].tolist() == list(range(60, 80))
    assert len(rows["test"]) == 15


def test_what_cannot_be_split_says_so() -> None:
    with pytest.raises(BadInput, match="too few to split"):
        split_rows(table(2), [None] * 2, val=0.1, test=0.1, seed=0)
    with pytest.raises(BadInput, match="no training rows"):
        split_rows(table(9, ["test"] * 9), [None] * 9, val=0.1, test=0.1, seed=0)
    with pytest.raises(BadInput, match="group 'a' stands in train and in test"):
        split_rows(table(9, ["train"] * 8 + ["test"], ["a"] * 9), [None] * 9, val=0.2, test=0.1, seed=0, group="who")


def ordered(rows: int, origins: list[int] | None = None, groups: list[str] | None = None) -> Table:
    columns = {"lap": Column("lap", "text", groups or ["1"] * rows)}
    return Table("t", columns, [""] * rows, str, origins=origins)


def test_by_time_the_last_rows_are_the_test_and_those_before_them_validation() -> None:
    rows = split_rows(ordered(20), [None] * 20, val=0.25, test=0.2, seed=0, by_time=True)
    assert {name: found.tolist() for name, found in rows.items()} == {
        "train": list(range(12)),
        "val": list(range(12, 16)),
        "test": list(range(16, 20)),
    }


def test_by_time_whole_groups_move_together() -> None:
    laps = [str(row // 5) for row in range(20)]
    rows = split_rows(ordered(20, groups=laps), [None] * 20, val=0.3, test=0.2, seed=0, group="lap", by_time=True)
    assert {name: found.tolist()[0::5] for name, found in rows.items()} == {"train": [0, 5], "val": [10], "test": [15]}


@pytest.mark.parametrize("by_time", [True, False])
def test_variants_of_rows_stand_in_no_split(by_time: bool) -> None:
    rows = split_rows(ordered(30, [*range(10)] * 3), [None] * 30, val=0.2, test=0.2, seed=0, by_time=by_time)
    assert sorted(np.concatenate(list(rows.values())).tolist()) == list(range(10))
