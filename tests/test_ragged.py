"""Rows of unequal length: what comes out is what was put in, and windows predict every entry once."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from snowball.collect.encode import encode_table
from snowball.collect.ragged import RaggedBuilder, RaggedRows, row_lengths
from snowball.finding import BadInput
from snowball.kinds.text import BEGIN, END, PAD
from snowball.recipe import Recipe
from snowball.registry import tasks
from snowball.table import Column, Table
from snowball.task import Task

Rows = list[list[int]]
rows_of_numbers = st.lists(st.lists(st.integers(1, 99), max_size=12), min_size=1, max_size=12)


def build(rows: Rows) -> RaggedRows:
    builder = RaggedBuilder(len(rows), padding=0, budget=1 << 20)
    for number, row in enumerate(rows):
        if row:  # rows that are set aside are never put
            builder.put(number, torch.tensor(row))
    return builder.rows()


@settings(deadline=None)
@given(rows_of_numbers, st.data())
def test_selecting_equals_slicing(rows: Rows, data: st.DataObject) -> None:
    held = build(rows)
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), max_size=8))
    found = held.index_select(0, torch.tensor(picked, dtype=torch.int64))
    longest = max((len(rows[i]) for i in picked), default=0)
    assert found.dtype == torch.int64
    assert found.tolist() == [rows[i] + [0] * (longest - len(rows[i])) for i in picked]
    lengths = row_lengths([held])
    assert lengths is not None and lengths.tolist() == [[len(row)] for row in rows]


@settings(deadline=None)
@given(rows_of_numbers, st.integers(1, 15), st.data())
def test_windows_predict_every_entry_but_the_first_once(rows: Rows, size: int, data: st.DataObject) -> None:
    picked = data.draw(st.lists(st.integers(0, len(rows) - 1), unique=True, min_size=1))
    cut, home = build(rows).windows(size, torch.tensor(picked))
    predicted: dict[int, list[int]] = {row: [] for row in picked}
    seen: dict[int, int] = {}
    for window, row in enumerate(home.tolist()):
        entries = cut.index_select(0, torch.tensor([window]))[0].tolist()
        assert 2 <= len(entries) <= size + 1
        assert entries[0] == seen.get(row, rows[row][0])  # each begins where the one before ended
        predicted[row] += entries[1:]
        seen[row] = entries[-1]
    assert predicted == {row: rows[row][1:] for row in picked}


@pytest.mark.parametrize("shape", [(), (2, 3)])
def test_more_than_the_budget_stands_in_a_file(shape: tuple[int, ...]) -> None:
    random = torch.Generator().manual_seed(0)
    rows = [torch.randint(0, 99, (n, *shape), generator=random, dtype=torch.int16) for n in (5, 0, 1, 2000)]
    held = []
    for budget in (16, 1 << 20):
        builder = RaggedBuilder(len(rows), padding=-7, budget=budget)
        for number, row in enumerate(rows):
            builder.put(number, row)
        held.append(builder.rows())
    assert [part.on_disk for part in held] == [True, False]
    for part in held:
        for picked in ([0, 3], [1], [2, 1, 0]):
            found = part.index_select(0, torch.tensor(picked))
            assert found.dtype == torch.int16
            wanted = torch.nn.utils.rnn.pad_sequence([rows[i] for i in picked], True, padding_value=-7)
            assert torch.equal(found, wanted)


def test_a_full_disk_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import errno

    def full(*asked: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    builder = RaggedBuilder(1, padding=0, budget=0)
    builder.put(0, torch.arange(5))
    with pytest.raises(BadInput, match="No space left"):
        builder.rows()


def _task(name: str, columns: dict[str, list[str | None]], kinds: dict[str, str]) -> tuple[Task, Table]:
    made = {key: Column(key, kinds[key], cells) for key, cells in columns.items()}
    num = len(next(iter(columns.values())))
    table = Table("made", made, [""] * num, lambda row: f"row {row}")
    kind = tasks()[name]
    recipe = Recipe.build(name, kind.section_types(), kind.defaults(table, {}), {"text.tokens": "char", "max_bad": 0.5})
    return kind(recipe, kind.fit(table, recipe, range(num)), table), table


def test_a_table_with_ragged_given_and_answer() -> None:
    columns: dict[str, list[str | None]] = {"en": ["ab", None, "c", "abc"], "de": ["a", "b", "abc", "ca"]}
    task, table = _task("translation", columns, {"en": "text", "de": "text"})
    encoded = encode_table(task, table)
    assert encoded.bad == {1: "no text in this row"}
    assert encoded.lengths is not None
    assert encoded.lengths.tolist() == [[2, 3], [0, 0], [1, 5], [3, 4]]
    batch = encoded.batch(torch.tensor([2, 3]))
    kind = task.kinds["source"]
    assert batch.inputs["source"].tolist() == [kind.encode("c").tolist() + [PAD] * 2, kind.encode("abc").tolist()]
    answer = task.kinds["target"].encode("ca").tolist()
    assert batch.targets["target"][1].tolist() == [BEGIN, *answer, END, PAD]


def test_what_is_given_and_answer_is_held_once() -> None:
    task, table = _task("language-modelling", {"text": ["abc", "a", "abcabc"]}, {"text": "text"})
    encoded = encode_table(task, table)
    assert encoded.inputs["text"] is encoded.targets["text"]
    cut, rows = encoded.windows(2, torch.tensor([0, 1, 2]))
    assert cut.inputs["text"] is cut.targets["text"]
    assert len(rows) == 1 + 0 + 3  # a single token has nothing to predict
    batch = cut.batch(rows)
    assert batch.inputs["text"] is batch.targets["text"]
