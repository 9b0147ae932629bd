"""Annotated pictures as people have them, for the tests that read them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml
from PIL import Image

from snowball.collect.read import read_table
from snowball.finding import Finding
from snowball.kind import Unreadable
from snowball.kinds.boxes import Boxes, BoxesKind
from snowball.recipe import DataSection
from snowball.table import Table

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
