"""Boxes from one form to another."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from snowball.collect.convert import FORMS, convert_boxes
from snowball.display import Display
from snowball.finding import BadInput
from snowball.kinds.boxes import BoxesKind
from snowball.table import Column, Table

from .box_files import (
    HEIGHT,
    WIDTH,
    Read,
    picture,
    rows,
    xml,
)


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
