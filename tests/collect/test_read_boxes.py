"""Annotated pictures as people have them: Pascal VOC, COCO and YOLO, what is wrong in them, and from one to another."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from snowball.collect.convert import FORMS, convert_boxes
from snowball.collect.read import read_table
from snowball.display import Display
from snowball.finding import BadInput, Finding
from snowball.kind import Unreadable
from snowball.kinds.boxes import Boxes, BoxesKind
from snowball.recipe import DataSection
from snowball.table import Column, Table

Read = Callable[..., Table]
Refusal = Callable[..., str]
Row = tuple[str, float, float, float, float]

WIDTH, HEIGHT = 40, 30


def picture(path: Path, size: tuple[int, int] = (WIDTH, HEIGHT), turned: int = 0) -> None:
    """A picture of this size; with `turned` an EXIF tag says how it is held."""
    path.parent.mkdir(parents=True, exist_ok=True)
    exif = Image.Exif()
    if turned:
        exif[0x0112] = turned
    Image.new("RGB", size, (hash(path.name) % 200, 90, 90)).save(path, exif=exif)


def xml(path: Path, *rows: Row, name: str | None = None, size: tuple[Any, Any] | None = (WIDTH, HEIGHT)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    sides = f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>" if size else ""
    things = "".join(
        f"<object><name>{label}</name><difficult>0</difficult><bndbox><xmin>{x1}</xmin><ymin>{y1}</ymin>"
        f"<xmax>{x2}</xmax><ymax>{y2}</ymax></bndbox></object>"
        for label, x1, y1, x2, y2 in rows
    )
    named = f"<filename>{name}</filename>" if name is not None else ""
    path.write_text(f"<annotation>{named}{sides}{things}</annotation>", encoding="utf-8")


def coco(path: Path, images: list[Any], annotations: list[Any], names: dict[int, str] | None = None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    categories = [{"id": number, "name": name} for number, name in (names or {1: "cat", 7: "dog"}).items()]
    content = {"info": {}, "images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))


def image(number: int, name: str, **keys: Any) -> dict[str, Any]:
    return {"id": number, "file_name": name, "width": WIDTH, "height": HEIGHT, **keys}


def one(image_id: Any, category: Any, *bbox: Any, **keys: Any) -> dict[str, Any]:
    return {"id": 1, "image_id": image_id, "category_id": category, "bbox": list(bbox), "iscrowd": 0, **keys}


def yolo(root: Path, data: Any, **lines: str) -> None:
    """data.yaml, and one picture and file of labels for each name, e.g. images/1.png and labels/1.txt."""
    if data is not None:
        root.mkdir(parents=True, exist_ok=True)
        (root / "data.yaml").write_text(data if isinstance(data, str) else yaml.safe_dump(data))
    for name, text in lines.items():
        picture(root / "images" / f"{name}.png")
        (root / "labels" / f"{name}.txt").parent.mkdir(parents=True, exist_ok=True)
        (root / "labels" / f"{name}.txt").write_text(text)


def cells(table: Table) -> dict[str, Boxes | str]:
    """Picture (as rows name it, below the folder) -> its boxes, or why they cannot be read."""
    found: dict[str, Boxes | str] = {}
    for row, cell in enumerate(table.column("boxes").cells):
        try:
            found[Path(table.where(row)).name] = BoxesKind.read(cell)
        except Unreadable as error:
            found[Path(table.where(row)).name] = str(error)
    return found


def rows(value: Boxes | str) -> list[tuple[Any, ...]]:
    assert isinstance(value, Boxes), value
    return [(label, *box) for label, box in zip(value.labels, value.corners.tolist(), strict=True)]


def splits(table: Table) -> dict[str, str]:
    return {Path(table.where(row)).name: table.split[row] for row in range(len(table))}


def notes(source: Path) -> dict[str, Finding]:
    told: list[Finding] = []
    read_table(DataSection(name=str(source)), told.append)
    return {finding.check: finding for finding in told}


# Pascal VOC


def test_voc_folders_with_lists_of_splits(tmp_path: Path, read: Read) -> None:
    for name in "abc":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        xml(tmp_path / "Annotations" / f"{name}.xml", ("cat", 1, 2, 20, 15), ("dog", 5, 5, 40, 30), name=f"{name}.jpg")
    lists = tmp_path / "ImageSets" / "Main"
    lists.mkdir(parents=True)
    for split, names in {"train": "a\n", "val": "b 1\n\n", "test": "c\n", "trainval": "a\nb\n"}.items():
        (lists / f"{split}.txt").write_text(names)
    table = read(tmp_path)
    assert {name: column.kind for name, column in table.columns.items()} == {"image": "image", "boxes": "boxes"}
    assert table.where(0) == str(tmp_path / "JPEGImages" / "a.jpg") == table.column("image").cells[0]
    assert splits(table) == {"a.jpg": "train", "b.jpg": "val", "c.jpg": "test"}
    assert rows(cells(table)["b.jpg"]) == [("cat", 1, 2, 20, 15), ("dog", 5, 5, 40, 30)]
    value = cells(table)["b.jpg"]
    assert isinstance(value, Boxes) and (value.width, value.height) == (WIDTH, HEIGHT)


def test_the_lists_of_detection_go_before_those_of_other_tasks(tmp_path: Path, read: Read) -> None:
    for name in "ab":
        picture(tmp_path / "JPEGImages" / f"{name}.jpg")
        xml(tmp_path / "Annotations" / f"{name}.xml", ("cat", 1, 2, 20, 15))
    for folder, train, val in (("Main", "a", "b"), ("Segmentation", "b", "a"), ("Action", "b", "a")):
        (tmp_path / "ImageSets" / folder).mkdir(parents=True)
        (tmp_path / "ImageSets" / folder / "train.txt").write_text(train)
        (tmp_path / "ImageSets" / folder / "val.txt").write_text(val)
    assert splits(read(tmp_path)) == {"a.jpg": "train", "b.jpg": "val"}


def test_xml_beside_pictures_in_folders_of_splits(tmp_path: Path, read: Read) -> None:
    """As Roboflow exports it; a picture's name may have dots, and be the same in two splits."""
    for split, label in (("train", "cat"), ("valid", "dog"), ("test", "owl")):
        for name in ("1_jpg.rf.0a1b", "same"):
            picture(tmp_path / split / f"{name}.jpg")
            xml(tmp_path / split / f"{name}.xml", (label, 1, 2, 20, 15), name=f"{name}.jpg")
    table = read(tmp_path)
    assert len(table) == 6
    for row in range(6):
        where = Path(table.where(row))
        assert table.split[row] == {"train": "train", "valid": "val", "test": "test"}[where.parent.name]
        (label,) = table.column("boxes").cells[row]["labels"]
        assert label == {"train": "cat", "valid": "dog", "test": "owl"}[where.parent.name]


def test_an_xml_of_a_dotted_name_is_of_that_picture(tmp_path: Path, read: Read) -> None:
    for name in ("a", "a.b"):
        picture(tmp_path / f"{name}.png")
    xml(tmp_path / "a.xml", ("cat", 1, 2, 20, 15))
    xml(tmp_path / "a.b.xml", ("dog", 1, 2, 20, 15))
    assert {name: rows(value)[0][0] for name, value in cells(read(tmp_path)).items()} == {
        "a.png": "cat",
        "a.b.png": "dog",
    }


def test_pictures_without_an_xml_and_the_reverse_are_named(tmp_path: Path, read: Read) -> None:
    for name in ("a", "b"):
        picture(tmp_path / f"{name}.png")
    xml(tmp_path / "a.xml", ("cat", 1, 2, 20, 15))
    xml(tmp_path / "c.xml", ("cat", 1, 2, 20, 15), name="somewhere\\c.png")
    xml(tmp_path / "empty.xml", name="empty.png")
    picture(tmp_path / "empty.png")
    found = cells(read(tmp_path))
    assert rows(found["a.png"]) == [("cat", 1, 2, 20, 15)]
    assert rows(found["empty.png"]) == []
    assert found["b.png"] == "no annotation (.xml) for this picture"
    assert found["c.png"] == "c.xml: its picture 'somewhere\\\\c.png' is not there"


BOMB = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><annotation>&b;</annotation>'
OUTSIDE = '<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><annotation>&a;</annotation>'
THING = "<annotation><object>{}</object></annotation>"
BAD_XML = {
    "bomb": (BOMB, "bad.xml: declares entities, as an XML bomb does"),
    "file": (OUTSIDE, "bad.xml: declares entities, as an XML bomb does"),
    "cut off": ("<annotation><object>", "bad.xml: not XML (no element found"),
    "encoding": ('<?xml version="1.0" encoding="utf-99"?><annotation/>', "bad.xml: not XML ("),
    "words": (
        THING.format("<name>cat</name><bndbox><xmin>one</xmin><ymin>1</ymin><xmax>2</xmax><ymax>3</ymax></bndbox>"),
        "bad.xml, object 1: no bndbox of four numbers",
    ),
    "three sides": (
        THING.format("<name>cat</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax></bndbox>"),
        "bad.xml, object 1: no bndbox of four numbers",
    ),
    "no box": (THING.format("<name>cat</name>"), "bad.xml, object 1: no bndbox of four numbers"),
    "no name": (
        THING.format("<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>3</ymax></bndbox>"),
        "bad.xml, object 1: no name",
    ),
    "endless": (
        "<annotation><size><width>inf</width><height>9</height></size></annotation>",
        "bad.xml: size 'inf' x '9' is not two whole numbers",
    ),
    "no number": (
        "<annotation><size><width>nan</width><height>9</height></size></annotation>",
        "bad.xml: size 'nan' x '9' is not two whole numbers",
    ),
}


@pytest.mark.parametrize("fault", BAD_XML)
def test_a_bad_xml_is_named_and_nothing_else_is_lost(fault: str, tmp_path: Path, read: Read) -> None:
    for name in ("good", "bad"):
        picture(tmp_path / f"{name}.png")
    xml(tmp_path / "good.xml", ("cat", 1, 2, 20, 15))
    (tmp_path / "bad.xml").write_text(BAD_XML[fault][0])
    found = cells(read(tmp_path))
    assert rows(found["good.png"]) == [("cat", 1, 2, 20, 15)]
    assert isinstance(found["bad.png"], str) and found["bad.png"].startswith(BAD_XML[fault][1])


def test_a_file_of_too_many_bytes_is_not_parsed(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    from snowball.collect.read import boxes_voc

    monkeypatch.setattr(boxes_voc, "_MAX_BYTES", 100)
    picture(tmp_path / "a.png")
    xml(tmp_path / "a.xml", ("cat", 1, 2, 20, 15))
    assert cells(read(tmp_path))["a.png"] == "a.xml: more than 100 bytes"


def test_sizes_that_do_not_fit_the_picture_are_named(tmp_path: Path, read: Read) -> None:
    for name, size, turned in (("scaled", (80, 60), 0), ("turned", (40, 30), 6), ("seen", (40, 30), 6)):
        picture(tmp_path / f"{name}.jpg", size, turned)
    xml(tmp_path / "scaled.xml", ("cat", 1, 2, 20, 15))
    xml(tmp_path / "turned.xml", ("cat", 1, 2, 20, 15))
    xml(tmp_path / "seen.xml", ("cat", 1, 2, 20, 15), size=(30, 40))
    picture(tmp_path / "unsaid.jpg", (64, 48))
    xml(tmp_path / "unsaid.xml", ("cat", 1, 2, 20, 15), size=None)
    picture(tmp_path / "zero.jpg")
    xml(tmp_path / "zero.xml", ("cat", 1, 2, 20, 15), size=(0, 0))
    found = cells(read(tmp_path))
    assert found["scaled.jpg"] == "scaled.xml: made for 40 x 30 pixels, but scaled.jpg has 80 x 60"
    turned = "made for 40 x 30 pixels, but turned.jpg has 30 x 40 (turned by its EXIF orientation?)"
    assert found["turned.jpg"] == f"turned.xml: {turned}"
    for name, size in (("seen.jpg", (30, 40)), ("unsaid.jpg", (64, 48)), ("zero.jpg", (WIDTH, HEIGHT))):
        value = found[name]
        assert isinstance(value, Boxes) and (value.width, value.height) == size


def test_a_damaged_picture_and_its_boxes(tmp_path: Path, read: Read) -> None:
    (tmp_path / "a.png").write_bytes(b"not a picture")
    xml(tmp_path / "a.xml", ("cat", 1, 2, 20, 15), size=None)
    (tmp_path / "b.png").write_bytes(b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 40 30\n%%EndComments\n")
    xml(tmp_path / "b.xml", ("cat", 1, 2, 20, 15), size=None)
    found = cells(read(tmp_path))
    assert found["a.png"] == "a.xml: no size stated, and a.png cannot be read"
    assert found["b.png"] == "b.xml: no size stated, and b.png cannot be read", (
        "formats that are not read are not parsed"
    )


# COCO


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


# YOLO


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


# From one form to another


def sample(splits: bool = True) -> Table:
    """Pictures in memory with boxes of every place and size, one of them with none."""
    random = np.random.default_rng(0)
    pictures, cells, parts = [], [], []
    for row in range(9):
        height, width = (int(side) for side in random.integers(20, 90, 2))
        pictures.append(random.integers(0, 256, (height, width, 3), dtype=np.uint8))
        corners = np.sort(random.uniform(0, 1, (row % 4, 2, 2)), 1).reshape(-1, 4)[:, [0, 1, 2, 3]]
        corners = corners * [width, height, width, height] + [0, 0, 0.01, 0.01]
        labels = [["zebra", "Ärmel & <b>", "no"][int(at)] for at in random.integers(0, 3, row % 4)]
        cells.append({"labels": labels, "boxes": corners.tolist(), "width": width, "height": height})
        parts.append(("train", "val", "test")[row % 3] if splits else "")
    columns = {"image": Column("image", "image", pictures), "boxes": Column("boxes", "boxes", cells)}
    return Table("made", columns, parts, lambda row: f"deep/pic.v{row}.x.jpg")


def held(table: Table) -> dict[str, tuple[Any, ...]]:
    """Name without suffix -> split, size, and labels with boxes to a thousandth of a pixel."""
    found = {}
    for row in range(len(table)):
        value = BoxesKind.read(table.column("boxes").cells[row])
        boxes = [(label, *(round(at, 2) for at in box)) for label, *box in rows(value)]
        assert not value.faults
        found[Path(table.where(row)).stem] = (table.split[row], value.width, value.height, boxes)
    return found


QUIET = Display(quiet=True)


@pytest.mark.parametrize("with_splits", [True, False])
@pytest.mark.parametrize(
    "way", [("voc", "coco", "yolo"), ("yolo", "voc", "coco"), ("coco", "yolo", "voc")], ids=" ".join
)
def test_what_is_written_reads_back_the_same(
    way: tuple[str, ...], with_splits: bool, tmp_path: Path, read: Read
) -> None:
    table = start = sample(with_splits)
    for form in way:
        assert convert_boxes(table, form, tmp_path / form, QUIET) == []
        table = read(tmp_path / form)
        assert len(table) == len(start)
        for name, (split, width, height, found) in held(table).items():
            wanted = held(start)[name]
            assert (split, width, height) == wanted[:3]
            assert [label for label, *_ in found] == [label for label, *_ in wanted[3]]
        exact = {
            Path(start.where(row)).stem: BoxesKind.read(cell) for row, cell in enumerate(start.column("boxes").cells)
        }
        for row in range(len(table)):
            value = BoxesKind.read(table.column("boxes").cells[row])
            assert np.allclose(value.corners, exact[Path(table.where(row)).stem].corners, atol=1e-3)
    pixels = {Path(table.where(row)).stem: Image.open(cell) for row, cell in enumerate(table.column("image").cells)}
    for row, array in enumerate(start.column("image").cells):
        assert np.array_equal(np.asarray(pixels[Path(start.where(row)).stem]), array)


def test_files_are_passed_on_as_they_are_and_names_stay_apart(tmp_path: Path, read: Read) -> None:
    for split, label in (("train", "cat"), ("valid", "dog")):
        picture(tmp_path / "from" / split / "a.b.jpg", turned=6)
        xml(tmp_path / "from" / split / "a.b.xml", (label, 1, 2, 20, 15), size=(HEIGHT, WIDTH))
    for form in FORMS:
        assert convert_boxes(read(tmp_path / "from"), form, tmp_path / form, QUIET) == []
        table = read(tmp_path / form)
        content = (tmp_path / "from" / "train" / "a.b.jpg").read_bytes()
        assert all(Path(cell).read_bytes() == content for cell in table.column("image").cells)
        found = {
            table.split[row]: rows(BoxesKind.read(cell))[0][0] for row, cell in enumerate(table.column("boxes").cells)
        }
        assert found == {"train": "cat", "val": "dog"}


def test_conversions_that_cannot_be_are_refused(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    for form, output, said in (
        ("coca", "new", "form=coca: not one of voc, coco, yolo (nearest: coco)"),
        ("", "new", "not one of voc, coco, yolo"),
        ("voc", "there", "there: is there already; name a new folder"),
    ):
        with pytest.raises(BadInput) as caught:
            convert_boxes(sample(), form, tmp_path / output, QUIET)
        assert said in str(caught.value)
    digits = Table("digits", {"image": sample().column("image")}, [""] * 9, str)
    with pytest.raises(BadInput, match="digits: no column of pictures and one of boxes"):
        convert_boxes(digits, "voc", tmp_path / "new", QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["there"]


@pytest.mark.parametrize("form", FORMS)
def test_bad_rows_are_left_out_by_name(form: str, tmp_path: Path, read: Read) -> None:
    for name in ("a", "b", "c"):
        picture(tmp_path / "from" / f"{name}.png")
        xml(tmp_path / "from" / f"{name}.xml", ("cat", 1, 2, 20, 15))
    (tmp_path / "from" / "b.xml").write_text("<annotation>")
    (tmp_path / "from" / "c.png").write_bytes((tmp_path / "from" / "c.png").read_bytes()[:-40])
    (finding,) = convert_boxes(read(tmp_path / "from"), form, tmp_path / "to", QUIET)
    assert (finding.check, finding.severity) == ("unreadable-rows", "warning")
    first, second = finding.evidence["rows"]
    assert "b.png: b.xml: not XML" in first and "c.png: " in second
    assert list(held(read(tmp_path / "to"))) == ["a"]
    for name in ("a", "b"):
        (tmp_path / "from" / f"{name}.xml").write_text("<annotation>")
    with pytest.raises(BadInput, match=r"no picture can be read, e\.g\. .*a\.png: a\.xml: not XML"):
        convert_boxes(read(tmp_path / "from"), form, tmp_path / "none", QUIET)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["from", "to"]
