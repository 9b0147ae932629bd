"""Write annotated pictures in another form: Pascal VOC, COCO or YOLO. What is written reads back the same."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

import numpy as np
import yaml
from PIL import Image

from ..display import Display
from ..finding import BadInput, Finding, nearest
from ..kind import Unreadable
from ..registry import kinds
from ..table import SPLITS, Table

__all__ = ["FORMS", "convert_boxes"]


@dataclass(frozen=True)
class _Picture:
    """One picture that is written: its name, split and boxes; `boxes` is what kinds/boxes.py reads."""

    name: str
    split: str
    boxes: Any

    @property
    def stem(self) -> str:
        return os.path.splitext(self.name)[0]


def convert_boxes(table: Table, form: str, output: Path, display: Display) -> list[Finding]:
    """Write `output`, a new folder, from columns of images and boxes; rows that cannot be read are left out, by name.

    Raises BadInput where the table has no boxes, the form is unknown, or the folder is there.
    """
    if form not in FORMS:
        raise BadInput(f"form={form}: not one of {', '.join(FORMS)}{nearest(form, FORMS)}")
    columns = {kind: next((c for c in table.columns.values() if c.kind == kind), None) for kind in ("image", "boxes")}
    image, boxes = columns["image"], columns["boxes"]
    if image is None or boxes is None:
        raise BadInput(f"{table.name}: no column of pictures and one of boxes: there is nothing to convert")
    if output.exists():
        raise BadInput(f"{output}: is there already; name a new folder")
    made = output.with_name(f".{output.name}.{os.getpid()}.tmp")
    pictures: list[_Picture] = []
    bad: list[str] = []
    taken: set[str] = set()
    display.start("writing", len(table))
    try:
        for row in range(len(table)):
            try:
                value = kinds()["boxes"].read(boxes.cells[row])
                content, suffix = _content(image.cells[row])
            except Unreadable as error:
                bad.append(f"{table.where(row)}: {error}")
                continue
            picture = _Picture(_new_name(table.where(row), suffix, taken), table.split[row], value)
            place = made / FORMS[form].folder(picture)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(content)
            pictures.append(picture)
            display.advance()
        if not pictures:
            raise BadInput(f"{table.name}: no picture can be read" + (f", e.g. {bad[0]}" if bad else ""))
        FORMS[form].write(made, pictures)
        os.replace(made, output)
    finally:
        display.stop()
        shutil.rmtree(made, ignore_errors=True)
    if not bad:
        return []
    message = f"{len(bad)} of {len(table)} pictures were left out, e.g. {bad[0]}"
    return [Finding("unreadable-rows", "warning", message, {"rows": bad[:100], "count": len(bad)}, "mend them")]


def _content(cell: Any) -> tuple[bytes, str]:
    """The bytes of a picture's file as they are, or of a PNG of its pixels."""
    if isinstance(cell, str):
        kinds()["image"].read(cell)  # what cannot be read is not passed on
        return Path(cell).read_bytes(), os.path.splitext(cell)[1].lower()
    buffer = BytesIO()
    Image.fromarray(np.asarray(kinds()["image"].read(cell))).save(buffer, "PNG")
    return buffer.getvalue(), ".png"


def _new_name(where: str, suffix: str, taken: set[str]) -> str:
    stem = os.path.splitext(os.path.basename(where))[0].replace(" ", "_").replace(",", "")
    name, number = stem, 1
    while name in taken:
        number += 1
        name = f"{stem}_{number}"
    taken.add(name)
    return name + suffix


def _labels(pictures: list[_Picture]) -> list[str]:
    return sorted({label for picture in pictures for label in picture.boxes.labels})


def _by_split(pictures: list[_Picture]) -> Mapping[str, list[_Picture]]:
    return {split: part for split in ("", *SPLITS) if (part := [p for p in pictures if p.split == split])}


def _write_voc(root: Path, pictures: list[_Picture]) -> None:
    (root / "Annotations").mkdir()
    for picture in pictures:
        tree = Element("annotation")
        SubElement(tree, "filename").text = picture.name
        size = SubElement(tree, "size")
        for side, pixels in (("width", picture.boxes.width), ("height", picture.boxes.height)):
            SubElement(size, side).text = str(pixels)
        for label, box in zip(picture.boxes.labels, picture.boxes.corners.tolist(), strict=True):
            thing = SubElement(tree, "object")
            SubElement(thing, "name").text = label
            place = SubElement(thing, "bndbox")
            for side, at in zip(("xmin", "ymin", "xmax", "ymax"), box, strict=True):
                SubElement(place, side).text = f"{at:.8g}"
        indent(tree)
        ElementTree(tree).write(root / "Annotations" / f"{picture.stem}.xml", encoding="utf-8")
    for split, part in _by_split(pictures).items():
        if split:
            (root / "ImageSets" / "Main").mkdir(parents=True, exist_ok=True)
            lines = "".join(f"{picture.stem}\n" for picture in part)
            (root / "ImageSets" / "Main" / f"{split}.txt").write_text(lines, encoding="utf-8")


def _write_coco(root: Path, pictures: list[_Picture]) -> None:
    numbers = {label: number for number, label in enumerate(_labels(pictures), start=1)}
    categories = [{"id": number, "name": label} for label, number in numbers.items()]
    (root / "annotations").mkdir()
    for split, part in _by_split(pictures).items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for number, picture in enumerate(part, start=1):
            size = {"width": picture.boxes.width, "height": picture.boxes.height}
            images.append({"id": number, "file_name": picture.name, **size})
            for label, (x1, y1, x2, y2) in zip(picture.boxes.labels, picture.boxes.corners.tolist(), strict=True):
                wide, tall = x2 - x1, y2 - y1
                one = {"id": len(annotations) + 1, "image_id": number, "category_id": numbers[label], "iscrowd": 0}
                annotations.append({**one, "bbox": [x1, y1, wide, tall], "area": wide * tall})
        content = {"images": images, "annotations": annotations, "categories": categories}
        name = f"instances_{split}.json" if split else "instances.json"
        (root / "annotations" / name).write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _write_yolo(root: Path, pictures: list[_Picture]) -> None:
    labels = _labels(pictures)
    for picture in pictures:
        place = root / "labels" / picture.split / f"{picture.stem}.txt"
        place.parent.mkdir(parents=True, exist_ok=True)
        lines = []
        sides = np.array([picture.boxes.width, picture.boxes.height], dtype=np.float64)
        for label, box in zip(picture.boxes.labels, picture.boxes.corners.astype(np.float64), strict=True):
            centre, size = (box[:2] + box[2:]) / 2 / sides, (box[2:] - box[:2]) / sides
            lines.append(" ".join([str(labels.index(label)), *(f"{at:.9f}" for at in (*centre, *size))]))
        place.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    folders = {split: f"images/{split}" for split in _by_split(pictures) if split}
    content = yaml.safe_dump(
        {"path": ".", **folders, "names": dict(enumerate(labels))}, sort_keys=False, allow_unicode=True
    )
    (root / "data.yaml").write_text(content, encoding="utf-8")


@dataclass(frozen=True)
class _Form:
    """Where a picture goes, and what writes the annotations once all pictures are there."""

    folder: Callable[[_Picture], Path]
    write: Callable[[Path, list[_Picture]], None]


FORMS: Mapping[str, _Form] = {
    "voc": _Form(lambda picture: Path("JPEGImages", picture.name), _write_voc),
    "coco": _Form(lambda picture: Path("images", picture.split, picture.name), _write_coco),
    "yolo": _Form(lambda picture: Path("images", picture.split, picture.name), _write_yolo),
}
