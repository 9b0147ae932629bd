"""COCO files as people have them, and what is wrong in them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

from snowball.kinds.boxes import Boxes, BoxesKind

from .box_files import (
    Read,
    Refusal,
    cells,
    coco,
    image,
    notes,
    one,
    picture,
    rows,
    yolo,
)


def test_coco_files_of_splits(tmp_path: Path, read: Read) -> None:
    for split, number in (("train2017", 1), ("val2017", 2)):
        picture(tmp_path / "images" / split / "1.jpg")
        picture(tmp_path / "images" / split / f"{split}.jpg")
        images = [image(1, "1.jpg"), image(2, f"{split}.jpg")]
        annotations = [one(1, 1, 1, 2, 10 * number, 5), one(1, 7, 0.5, 0, 39.5, 30)]
        coco(tmp_path / "annotations" / f"instances_{split}.json", images, annotations)
    captions = {"images": [image(1, "1.jpg")], "annotations": [{"image_id": 1, "caption": "a cat"}], "categories": []}
    (tmp_path / "annotations" / "captions_train2017.json").write_text(json.dumps(captions))
    coco(tmp_path / "annotations" / "person_keypoints_train2017.json", [image(1, "1.jpg")], [one(1, 1, 0, 0, 1, 1)])
    table = read(tmp_path)
    assert len(table) == 4
    values = [BoxesKind.read(cell) for cell in table.column("boxes").cells]
    assert list(table.split) == ["train", "train", "val", "val"]
    assert rows(values[0]) == [("cat", 1, 2, 11, 7), ("dog", 0.5, 0, 40, 30)]
    assert rows(values[2]) == [("cat", 1, 2, 21, 7), ("dog", 0.5, 0, 40, 30)]
    assert rows(values[1]) == rows(values[3]) == []


def test_coco_files_in_folders_of_splits(tmp_path: Path, read: Read) -> None:
    """As Roboflow exports it: every split has its own numbers, and may have its own order of categories."""
    for split, names in (("train", {0: "cat", 1: "dog"}), ("valid", {0: "dog", 1: "cat"}), ("test", {5: "cat"})):
        picture(tmp_path / split / "same.jpg")
        number = next(n for n, name in names.items() if name == "cat")
        annotations = [one(0, number, 1, 2, 3, 4)]
        coco(tmp_path / split / "_annotations.coco.json", [image(0, "same.jpg")], annotations, names)
    table = read(tmp_path)
    found = {
        Path(table.where(row)).parent.name: (table.split[row], table.column("boxes").cells[row]) for row in range(3)
    }
    assert {folder: split for folder, (split, _) in found.items()} == {"train": "train", "valid": "val", "test": "test"}
    assert all(rows(BoxesKind.read(cell)) == [("cat", 1, 2, 4, 6)] for _, cell in found.values())


def test_coco_names_with_folders(tmp_path: Path, read: Read) -> None:
    for folder in ("x", "y"):
        picture(tmp_path / "images" / folder / "1.jpg", (40, 30) if folder == "x" else (30, 40))
    images = [image(1, "x/1.jpg"), {**image(2, "images\\y\\1.jpg"), "width": 30, "height": 40}]
    coco(tmp_path / "annotations.json", images, [one(1, 1, 0, 0, 9, 9), one(2, 7, 0, 0, 9, 9)])
    table = read(tmp_path)
    found = {Path(table.where(row)).parent.name: cell["labels"] for row, cell in enumerate(table.column("boxes").cells)}
    assert found == {"x": ["cat"], "y": ["dog"]}


def test_pictures_outside_the_folder_are_never_opened(
    tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside, root = tmp_path / "secret.png", tmp_path / "data"
    picture(outside)
    picture(root / "1.png")
    names = ["../secret.png", "../../secret.png", str(outside), "file://" + str(outside), "~/secret.png", ""]
    images = [image(number, name) for number, name in enumerate(names)] + [image(9, "1.png")]
    coco(root / "annotations.json", images, [one(number, 1, 0, 0, 9, 9) for number in (0, 2, 9)])
    opened: list[str] = []
    real = Image.open
    monkeypatch.setattr(
        Image, "open", lambda file, *rest, **keys: opened.append(str(file)) or real(file, *rest, **keys)
    )
    table = read(root)
    assert set(opened) <= {str(root / "1.png")}
    found = cells(table)
    assert rows(found["1.png"]) == [("cat", 0, 0, 9, 9)]
    assert found["secret.png"] == "annotations.json: its picture '~/secret.png' is not there"
    assert sum(isinstance(BoxesKind.read(c), Boxes) for c in table.column("boxes").cells if "error" not in c) == 1
    assert {str(Path(cell).parent) for cell in table.column("image").cells} == {str(root)}
    yolo(
        root / "y",
        {"path": "..", "names": ["cat"], "train": "../secret.png", "val": ["../../x", "/etc"]},
        a="0 .5 .5 .1 .1",
    )
    assert len(read(root / "y")) == 1


def test_bad_annotations_of_coco_are_named(tmp_path: Path, read: Read) -> None:
    faults = {
        "good": one(0, 1, 1, 2, 3, 4),
        "category": one(1, 3, 1, 2, 3, 4),
        "three": one(2, 1, 1, 2, 3),
        "words": one(3, 1, 1, 2, 3, "4"),
        "nothing": {**one(4, 1), "bbox": None},
        "huge": one(5, 1, 1, 2, 3, 10**400),
    }
    for name in faults:
        picture(tmp_path / f"{name}.png")
    picture(tmp_path / "scaled.png", (80, 60))
    images = [image(number, f"{name}.png") for number, name in enumerate((*faults, "scaled", "gone"))]
    coco(tmp_path / "a.json", images, [*faults.values(), one(6, 1, 0, 0, 9, 9), one(7, 1, 0, 0, 9, 9)])
    found = cells(read(tmp_path))
    assert rows(found.pop("good.png")) == [("cat", 1, 2, 4, 6)]
    long = str([1, 2, 3, 10**400])[:60]
    assert found == {
        "category.png": "a.json, annotation 1: category_id 3 is not among the categories",
        "three.png": "a.json, annotation 2: bbox [1, 2, 3] is not [x, y, width, height]",
        "words.png": "a.json, annotation 3: bbox [1, 2, 3, '4'] is not [x, y, width, height]",
        "nothing.png": "a.json, annotation 4: bbox None is not [x, y, width, height]",
        "huge.png": f"a.json, annotation 5: bbox {long} is not [x, y, width, height]",
        "scaled.png": "a.json: made for 40 x 30 pixels, but scaled.png has 80 x 60",
        "gone.png": "a.json: its picture 'gone.png' is not there",
    }


def test_crowds_are_left_out_and_counted(tmp_path: Path, read: Read) -> None:
    picture(tmp_path / "1.png")
    coco(tmp_path / "a.json", [image(1, "1.png")], [one(1, 1, 0, 0, 9, 9), one(1, 7, 0, 0, 40, 30, iscrowd=1)])
    assert rows(cells(read(tmp_path))["1.png"]) == [("cat", 0, 0, 9, 9)]
    assert notes(tmp_path)["crowds"].evidence == {"count": 1}


def test_pictures_that_no_coco_file_lists_are_counted(tmp_path: Path, read: Read) -> None:
    for name in "12":
        picture(tmp_path / f"{name}.png")
    coco(tmp_path / "a.json", [image(1, "1.png")], [one(1, 1, 0, 0, 9, 9)])
    assert list(cells(read(tmp_path))) == ["1.png"]
    assert notes(tmp_path)["unlisted-pictures"].evidence == {"paths": ["2.png"], "count": 1}


IMAGES = '"images": [{"id": 1, "file_name": "1.png"}]'
LISTS = "images, annotations and categories should be lists of objects"
COCO_REFUSALS = {
    "{" + IMAGES + ', "annotations"': "a.json: not JSON (",
    "{" + IMAGES + ', "annotations": ' + "[" * 100_000: "a.json: not JSON (",
    '{"images": {}, "annotations": [], "categories": []}': f"a.json: {LISTS}",
    '{"images": [1], "annotations": [], "categories": []}': f"a.json: {LISTS}",
    "{" + IMAGES + ', "annotations": [{"image_id": 5, "category_id": 1, "bbox": [1, 2, 3, 4]}], "categories": []}': (
        "a.json: annotation 0: image_id 5 is no image's id"
    ),
    '{"images": [{"id": [1], "file_name": "1.png"}], "annotations": [], "categories": []}': "images 0: id [1] is not a",
    "{"
    + IMAGES
    + ', "annotations": [{"image_id": {}, "bbox": [1, 2]}], "categories": []}': "annotations 0: image_id {}",
    "{"
    + IMAGES
    + ', "annotations": [{"image_id": 1, "category_id": []}], "categories": []}': "0: category_id [] is not",
    "{" + IMAGES + ', "annotations": [], "categories": [{"id": [1], "name": "x"}]}': "categories 0: id [1] is not a",
}


@pytest.mark.parametrize("content", COCO_REFUSALS, ids=range(9))
def test_files_that_contradict_themselves_are_refused(content: str, tmp_path: Path, refusal: Refusal) -> None:
    picture(tmp_path / "1.png")
    (tmp_path / "a.json").write_text(content)
    assert COCO_REFUSALS[content] in refusal(tmp_path)
