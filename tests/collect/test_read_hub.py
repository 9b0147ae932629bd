"""Hugging Face data sets, from a folder that save_to_disk wrote. Nothing here asks the network."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from snowball.collect.read import read_table
from snowball.finding import Finding
from snowball.recipe import DataSection
from snowball.table import Table

Read = Callable[..., Table]
Refusal = Callable[..., str]

datasets = pytest.importorskip("datasets", reason="the extra snowball[hub] is not installed")


@pytest.fixture
def dataset(png: Callable[[int], bytes]) -> Any:
    """Eight rows: a picture, a ClassLabel with one -1, a number and a list."""
    features = datasets.Features(
        {
            "picture": datasets.Image(),
            "kind": datasets.ClassLabel(names=["cat", "dog"]),
            "weight": datasets.Value("float32"),
            "tags": datasets.Sequence(datasets.Value("string")),
        }
    )
    rows = {
        "picture": [{"bytes": png(n), "path": None} for n in range(8)],
        "kind": [n % 2 for n in range(7)] + [-1],
        "weight": [n / 7 for n in range(8)],
        "tags": [["x"]] * 8,
    }
    return datasets.Dataset.from_dict(rows, features=features)


def test_one_dataset(tmp_path: Path, dataset: Any, read: Read, png: Callable[[int], bytes]) -> None:
    dataset.select([3, 7, 0]).save_to_disk(str(tmp_path / "saved"))
    table = read(f"hf:{tmp_path / 'saved'}")
    assert {name: column.kind for name, column in table.columns.items()} == {
        "picture": "image",
        "kind": "label",
        "weight": "number",
        "tags": "nested",
    }
    assert [cell["bytes"] for cell in table.column("picture").cells] == [png(3), png(7), png(0)]
    assert table.column("kind").cells == ["dog", None, "cat"]
    assert set(table.split) == {""}
    assert table.where(1).endswith("row 2")


def test_splits(tmp_path: Path, dataset: Any) -> None:
    parts = {"test": dataset.select([0, 1]), "train": dataset.select([2, 3, 4]), "validation": dataset.select([5])}
    parts["unsupervised"] = dataset.select([6, 7])
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    notes: list[Finding] = []
    table = read_table(DataSection(name=f"hf:{tmp_path / 'saved'}"), notes.append)
    assert list(table.split) == ["train"] * 3 + ["val"] + ["test"] * 2
    assert table.column("kind").cells == ["cat", "dog", "cat", "dog", "cat", "dog"]
    assert table.where(4).endswith("test row 1")
    assert [(note.check, note.evidence) for note in notes] == [("skipped-splits", {"splits": ["unsupervised"]})]


def test_splits_may_be_missing(tmp_path: Path, dataset: Any, read: Read) -> None:
    parts = {"train": dataset.select([2, 3]), "test": dataset.select([0])}
    datasets.DatasetDict(parts).save_to_disk(str(tmp_path / "saved"))
    assert list(read(f"hf:{tmp_path / 'saved'}").split) == ["train", "train", "test"]


def test_two_stated_labels_are_asked_about(tmp_path: Path, dataset: Any, read: Read, refusal: Refusal) -> None:
    fine = dataset.add_column("fine", [n % 3 for n in range(8)]).cast_column(
        "fine", datasets.ClassLabel(names=list("abc"))
    )
    fine.save_to_disk(str(tmp_path / "saved"))
    source = f"hf:{tmp_path / 'saved'}"
    assert "each of kind, fine could be the answer" in refusal(source)
    assert read(source, answer="fine").column("fine").kind == "label"
    assert read(source, answer="fine").column("kind").kind == "text"


def test_what_cannot_be_loaded_is_refused(
    tmp_path: Path, dataset: Any, refusal: Refusal, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "names no data set" in refusal("hf:")
    assert "was not written by save_to_disk" in refusal(f"hf:{tmp_path}")
    datasets.DatasetDict({"extra": dataset}).save_to_disk(str(tmp_path / "saved"))
    assert "none of them is train, validation or test" in refusal(f"hf:{tmp_path / 'saved'}")
    (tmp_path / "saved" / "dataset_dict.json").write_text("{")
    assert "could not be loaded" in refusal(f"hf:{tmp_path / 'saved'}")
    monkeypatch.setitem(sys.modules, "datasets", None)
    assert "pip install 'snowball[hub]'" in refusal("hf:anything")
