"""Pascal VOC as people have it, and what is wrong in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from snowball.kinds.boxes import Boxes

from .box_files import (
    HEIGHT,
    WIDTH,
    Read,
    cells,
    picture,
    rows,
    splits,
    xml,
)


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
