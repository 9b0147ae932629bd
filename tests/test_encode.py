"""Encoding: on disk or in memory, the rows are the same; what cannot be read is set aside and gated."""

from __future__ import annotations

import resource

import numpy as np
import pytest
import torch

from snowball.collect.audit import audit
from snowball.collect.prepare import Prepared, prepare
from snowball.collect.row_file import RowFile
from snowball.display import Display
from snowball.finding import BadInput, GateFailed
from snowball.table import Column, Table

QUIET = Display(quiet=True)


def digits(**keys: object) -> Prepared:
    return prepare("digits", keys, QUIET)


def test_rows_on_disk_equal_rows_in_memory() -> None:
    whole, on_disk = digits(), digits(memory_gb=1e-5)
    assert isinstance(on_disk.encoded.inputs["image"], RowFile)
    assert isinstance(whole.encoded.inputs["image"], torch.Tensor)
    rows = torch.randperm(1797)
    for part in rows.split(64):
        one, other = whole.encoded.batch(part), on_disk.encoded.batch(part)
        assert torch.equal(one.inputs["image"], other.inputs["image"])
        assert torch.equal(one.targets["label"], other.targets["label"])
    assert whole.task.schema == on_disk.task.schema


@pytest.mark.parametrize("memory_gb", [1.0, 1e-7])
def test_colours_are_held_as_they_are_laid_out(memory_gb: float, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    cells: list[object] = [random.integers(0, 256, (6 + n % 2, 8, 3), dtype=np.uint8) for n in range(60)]
    made = prepared(pictures(cells, ["a", "b"] * 30), monkeypatch, memory_gb=memory_gb, size=(6, 8))
    assert isinstance(made.encoded.inputs["image"], RowFile) == (memory_gb < 1)
    rows = torch.tensor([3, 0, 58, 7])
    images = made.encoded.batch(rows).inputs["image"]
    assert images.is_contiguous(memory_format=torch.channels_last)
    for row, image in zip(rows.tolist(), images, strict=True):
        assert torch.equal(image, made.task.encode({"image": cells[row]}, "a")[0]["image"])
        if row % 2 == 0:
            assert torch.equal(image, torch.from_numpy(cells[row]).permute(2, 0, 1))
    assert torch.equal(made.encoded.batch(rows[:0]).inputs["image"], images[:0])


def test_a_full_disk_is_met_before_training() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(BadInput, match="SNOWBALL_CACHE"):
            digits(memory_gb=1e-5)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def pictures(cells: list[object], labels: list[str], split: list[str] | None = None) -> Table:
    columns = {"image": Column("image", "image", cells), "label": Column("label", "label", labels)}
    return Table("made", columns, split or [""] * len(cells), lambda row: f"picture {row}")


def prepared(table: Table, monkeypatch: pytest.MonkeyPatch, **keys: object) -> Prepared:
    monkeypatch.setattr("snowball.collect.prepare.read_table", lambda data, note=None: table)
    return prepare("made", keys, QUIET)


def noise(num: int) -> list[object]:
    random = np.random.default_rng(0)
    return [random.integers(0, 256, (6, 6), dtype=np.uint8) for _ in range(num)]


def test_unreadable_rows_leave_the_splits_and_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = noise(100)
    cells[7], cells[40] = b"no picture", None
    labels = ["a", "b"] * 50
    made = prepared(pictures(cells, labels), monkeypatch, max_bad=0.1)
    assert made.encoded.bad == {7: "not a picture", 40: "no picture in this row"}
    assert not {7, 40} & {row for rows in made.splits.values() for row in rows.tolist()}
    (finding,) = audit(made.task, made.table, made.encoded, made.task.rows_by_split)
    assert (finding.check, finding.evidence["count"]) == ("unreadable-rows", 2)
    assert finding.evidence["rows"][0] == {"where": "picture 7", "reason": "not a picture"}
    with pytest.raises(GateFailed, match=r"2 of 100 rows cannot be read, more than data.max_bad=0.01"):
        prepared(pictures(cells, labels), monkeypatch)


def test_a_label_that_training_never_saw_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    labels = ["a", "b"] * 49 + ["new", "new"]
    table = pictures(noise(100), labels, [""] * 98 + ["test"] * 2)
    with pytest.raises(GateFailed, match="label 'new' does not occur among the training rows"):
        prepared(table, monkeypatch)


def test_copies_and_contradictions_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    cells = noise(60)
    cells[50], cells[51], cells[1] = cells[0], cells[3], cells[2]
    labels = ["a", "b"] * 30
    labels[51] = "a"  # row 3 is a b
    labels[1] = labels[2] = "a"
    split = ["train"] * 40 + ["val"] * 8 + ["test"] * 12
    made = prepared(pictures(cells, labels, split), monkeypatch)
    found = {f.check: f for f in audit(made.task, made.table, made.encoded, made.task.rows_by_split)}
    assert set(found) == {"split-overlap", "label-conflict", "duplicates"}
    assert found["split-overlap"].evidence["groups"] == [
        ["picture 0 (train)", "picture 50 (test)"],
        ["picture 3 (train)", "picture 51 (test)"],
    ]
    assert found["label-conflict"].evidence["groups"] == [["picture 3 (train)", "picture 51 (test)"]]
    assert found["duplicates"].evidence["groups"] == [["picture 1 (train)", "picture 2 (train)"]]
