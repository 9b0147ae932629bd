"""Labels of YOLO as people have them, what is wrong in them, and what only looks like boxes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from snowball.kinds.boxes import Boxes

from .box_files import (
    Read,
    Refusal,
    cells,
    notes,
    picture,
    rows,
    splits,
    yolo,
)


@pytest.mark.parametrize("names", [["cat", "dog"], {0: "cat", 1: "dog"}, {"0": "cat", "1": "dog"}])
def test_yolo_folders(names: Any, tmp_path: Path, read: Read) -> None:
    yolo(tmp_path, {"names": names}, a="0 0.5 0.5 0.5 0.2\n\n1 0.25 0.5 0.5 1\n", b="")
    picture(tmp_path / "images" / "c.png")
    found = cells(read(tmp_path))
    assert rows(found["a.png"]) == [("cat", 10, 12, 30, pytest.approx(18)), ("dog", 0, 0, 20, 30)]
    assert rows(found["b.png"]) == rows(found["c.png"]) == []
    assert notes(tmp_path)["no-labels"].evidence == {"pictures": 1}
    assert set(splits(read(tmp_path)).values()) == {""}


def test_yolo_folders_of_splits(tmp_path: Path, read: Read) -> None:
    parts = {"train/a": "0 .5 .5 .1 .1", "val/b": "0 .5 .5 .1 .1", "test/c": "1 .5 .5 .1 .1"}
    yolo(tmp_path / "ultralytics", {"path": "../elsewhere", "names": ["cat", "dog"]}, **parts)
    assert splits(read(tmp_path / "ultralytics")) == {"a.png": "train", "b.png": "val", "c.png": "test"}
    for split in ("train", "valid"):
        yolo(tmp_path / "roboflow" / split, None, **{f"{split}.rf.1": "0 .5 .5 .1 .1"})
    (tmp_path / "roboflow" / "data.yaml").write_text("train: ../train/images\nval: ../valid/images\nnames: [cat]\n")
    table = read(tmp_path / "roboflow")
    assert splits(table) == {"train.rf.1.png": "train", "valid.rf.1.png": "val"}
    assert all(len(rows(value)) == 1 for value in cells(table).values())


def test_yolo_lists_and_folders_that_data_yaml_names(tmp_path: Path, read: Read) -> None:
    line = "0 .5 .5 .1 .1"
    data = {"names": ["cat"], "train": ["images/one", "images/two"], "val": "lists/held.txt"}
    yolo(tmp_path, data, **{"one/a": line, "two/b": line, "three/c": line, "three/d": line})
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "held.txt").write_text("./images/three/c.png\nimages/three/d.png\n")
    assert splits(read(tmp_path)) == {"a.png": "train", "b.png": "train", "c.png": "val", "d.png": "val"}


def test_yolo_labels_beside_pictures_with_classes_txt(tmp_path: Path, read: Read) -> None:
    picture(tmp_path / "a.png")
    (tmp_path / "a.txt").write_text("1 0.5 0.5 0.5 0.2\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert rows(cells(read(tmp_path))["a.png"]) == [("dog", 10, 12, 30, pytest.approx(18))]
    assert "no-pictures" not in notes(tmp_path)


def test_bad_lines_and_strays_of_yolo_are_named(tmp_path: Path, read: Read) -> None:
    lines = {
        "good": "0 0.5 0.5 0.5 0.2",
        "class": "0 .5 .5 .1 .1\n5 .5 .5 .1 .1",
        "below": "-1 .5 .5 .1 .1",
        "words": "cat .5 .5 .1 .1",
        "short": "\n0 .5 .5 .1",
        "polygon": "0 .1 .1 .2 .2 .3 .3",
        "outside": "0 1.5 .5 .1 .1\n1 .5 .5 .5 .5",
        "none": "0 nan .5 .1 .1",
    }
    yolo(tmp_path, {"names": ["cat", "dog"]}, **lines)
    (tmp_path / "labels" / "stray.txt").write_text("0 .5 .5 .1 .1")
    found = cells(read(tmp_path))
    assert rows(found.pop("good.png")) == [("cat", 10, 12, 30, pytest.approx(18))]
    outside, none = found.pop("outside.png"), found.pop("none.png")
    assert rows(outside) == [("dog", 10, 7.5, 30, 22.5)]
    assert isinstance(outside, Boxes) and outside.faults[0].startswith("labels/outside.txt, box 1 (cat, ")
    assert isinstance(none, Boxes) and "not finite; set aside" in none.faults[0]
    said = "is not `class x y width height`"
    assert found == {
        "class.png": "labels/class.txt, line 2: class 5 has no name; there are 0 to 1",
        "below.png": "labels/below.txt, line 1: class -1 has no name; there are 0 to 1",
        "words.png": f"labels/words.txt, line 1: 'cat .5 .5 .1 .1' {said}",
        "short.png": f"labels/short.txt, line 2: '0 .5 .5 .1' {said}",
        "polygon.png": f"labels/polygon.txt, line 1: '0 .1 .1 .2 .2 .3 .3' {said}",
    }
    assert notes(tmp_path)["no-pictures"].evidence == {"files": ["labels/stray.txt"]}


def test_yolo_without_names_has_numbers(tmp_path: Path, read: Read) -> None:
    yolo(tmp_path, None, a="3 .5 .5 .5 .5")
    assert rows(cells(read(tmp_path))["a.png"]) == [("3", 10, 7.5, 30, 22.5)]


def test_a_data_yaml_that_is_none_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    yolo(tmp_path, "names: [cat\n", a="0 .5 .5 .5 .5")
    assert "data.yaml: not YAML (" in refusal(tmp_path)


def test_odd_names_in_data_yaml_do_no_harm(tmp_path: Path, read: Read) -> None:
    yolo(tmp_path, "names: {0: cat, '²': dog, x: owl, 1.5: newt}\ntrain: 5\nval: {}\n", a="0 .5 .5 .5 .5")
    assert rows(cells(read(tmp_path))["a.png"]) == [("cat", 10, 7.5, 30, 22.5)]


def test_labels_of_yolo_are_never_executed(tmp_path: Path, refusal: Refusal) -> None:
    yolo(tmp_path, "names: !!python/object/apply:os.system ['touch made']\n", a="0 .5 .5 .5 .5")
    assert "not YAML" in refusal(tmp_path)


# What only looks alike

BESIDE = {
    "package.json": '{"name": "x", "images": ["a.png"]}',
    "broken.json": '{"images": [',
    "lines.json": '{"images": 1}\n{"images": 2}\n',
    "captions.json": '{"images": [], "annotations": [{"image_id": 1, "caption": "a"}], "categories": []}',
    "sitemap.xml": "<urlset></urlset>",
    "broken.xml": "<annotation",
    "config.yaml": "names: [a, b]\nlr: 0.1\n",
    "chart.yaml": "a: {{ .Values.x }}\n  - b: [",
    "notes.txt": "0 0.5 0.5 0.1 0.1\n",
    "classes.txt": "cat\ndog\n",
}


@pytest.mark.parametrize("name", BESIDE)
@pytest.mark.parametrize("place", ["", "cat/"])
def test_a_folder_of_classes_stays_one(name: str, place: str, tmp_path: Path, read: Read) -> None:
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.png")
    (tmp_path / place / name).write_text(BESIDE[name])
    table = read(tmp_path)
    assert [column.kind for column in table.columns.values()] == ["image", "label"]
    assert table.column("label").cells == ["cat", "dog"]


def test_captions_beside_pictures_are_no_boxes(tmp_path: Path, read: Read) -> None:
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.png")
        (tmp_path / label / "1.txt").write_text(f"a {label} on a mat\n")
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    assert read(tmp_path).column("label").cells == ["cat", "dog"]


def test_an_archive_beside_classes_stays_closed(tmp_path: Path, read: Read) -> None:
    for label in ("cat", "dog"):
        picture(tmp_path / label / "1.png")
    (tmp_path / "backup.zip").write_bytes(b"PK not really")
    assert read(tmp_path).column("label").cells == ["cat", "dog"]
