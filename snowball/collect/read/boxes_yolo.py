"""YOLO: a text file a picture, lines of `class x y width height` in shares of the picture, and names in data.yaml."""

from __future__ import annotations

import math
import os
from typing import Any

import yaml

from ...finding import BadInput, Finding
from .boxes import Annotated, Pictures, path_split, sized
from .columns import SPLIT_WORDS

__all__ = ["read_yolo"]

_MAX_BYTES = 4 << 20  # of one file of labels, or of names
_MAX_LINE = 1000  # bytes of a line of labels


def read_yolo(pictures: Pictures) -> list[Annotated]:
    """A row for each picture; one without a file of labels has no boxes, which a note counts."""
    labels = {path for path in pictures.notes if path.endswith(".txt")}
    files = {picture: _label_path(picture) for picture in pictures.paths}
    there = {picture: path for picture, path in files.items() if path in labels}
    sure = any("labels" in path.split("/") for path in there.values())
    if not sure and not any(_holds_box(pictures, path) for path in there.values()):  # captions, or nothing
        return []
    names = _names(pictures)
    if names is None and not sure:
        return []
    listed = _listed(pictures)
    rows = []
    for picture in pictures.paths:
        cell = _read(pictures, there[picture], names) if picture in there else {"labels": [], "boxes": []}
        if "error" not in cell:
            cell = _in_pixels(pictures, picture, {"where": files[picture], **cell})
        rows.append(Annotated(picture, listed.get(picture) or path_split(picture), cell))
    if without := len(rows) - len(there):
        message = f"{without} pictures have no file of labels: they are taken to hold no object"
        pictures.findings.append(Finding("no-labels", "note", message, {"pictures": without}))
    if stray := sorted({path for path in labels if "labels" in path.split("/")} - set(there.values())):
        message = f"{len(stray)} files of labels have no picture, e.g. {stray[0]}"
        pictures.findings.append(Finding("no-pictures", "warning", message, {"files": stray[:20]}, "add the pictures"))
    return rows


def _holds_box(pictures: Pictures, path: str) -> bool:
    """Whether a file begins with a line of five numbers, the first of them a whole one."""
    with open(pictures.root / path, "rb") as file:
        parts = file.readline(_MAX_LINE).split()
    try:
        return len(parts) == 5 and int(parts[0]) >= 0 and all(math.isfinite(float(part)) for part in parts)
    except ValueError:
        return False


def _label_path(picture: str) -> str:
    """`images/a/1.jpg` has its labels in `labels/a/1.txt`; a picture elsewhere has them beside it."""
    parts = picture.split("/")
    if "images" in parts:
        at = len(parts) - 1 - parts[::-1].index("images")
        parts[at] = "labels"
    return os.path.splitext("/".join(parts))[0] + ".txt"


def _described(pictures: Pictures) -> dict[str, Any]:
    """What data.yaml says, or a file like it; an empty dict where there is none."""
    for path in pictures.notes:
        if not path.lower().endswith((".yaml", ".yml")):
            continue
        file = pictures.root / path
        try:
            content = yaml.safe_load(file.read_bytes()) if file.stat().st_size <= _MAX_BYTES else None
        except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
            raise BadInput(f"{file}: not YAML ({str(error).splitlines()[0]})") from error
        if isinstance(content, dict) and "names" in content:
            return content
    return {}


def _names(pictures: Pictures) -> dict[int, str] | None:
    names = _described(pictures).get("names")
    if isinstance(names, list):
        return {number: str(name) for number, name in enumerate(names)}
    if isinstance(names, dict):
        return {int(number): str(name) for number, name in names.items() if str(number).isdecimal()}
    for path in pictures.notes:
        if os.path.basename(path) in ("classes.txt", "obj.names"):
            lines = (pictures.root / path).read_text(encoding="utf-8", errors="replace").splitlines()
            return {number: line.strip() for number, line in enumerate(lines) if line.strip()}
    return None


def _listed(pictures: Pictures) -> dict[str, str]:
    """Picture -> split, where data.yaml names lists or folders for train, val and test."""
    found: dict[str, str] = {}
    for word, value in _described(pictures).items():
        split = SPLIT_WORDS.get(str(word).lower())
        for place in value if isinstance(value, list) else [value] if split else []:
            place = os.path.normpath(str(place)).lstrip("./")
            if not split:
                continue
            if place.endswith(".txt") and place in pictures.notes:
                lines = (pictures.root / place).read_text(encoding="utf-8", errors="replace").splitlines()
                found |= {
                    path: split for line in lines if line.strip() and (path := pictures.find(line.strip(), place))
                }
            else:
                found |= {path: split for path in pictures.paths if path.startswith(f"{place}/")}
    return found


def _read(pictures: Pictures, path: str, names: dict[int, str] | None) -> dict[str, Any]:
    """Labels, and boxes in shares."""
    file = pictures.root / path
    if file.stat().st_size > _MAX_BYTES:
        return {"error": f"{path}: more than {_MAX_BYTES:,} bytes"}
    labels, boxes = [], []
    for number, line in enumerate(file.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        if not line.strip():
            continue
        where = f"{path}, line {number}"
        parts = line.split()
        try:
            kind, x, y, width, height = int(parts[0]), *(float(part) for part in parts[1:])
        except ValueError:
            return {"error": f"{where}: {line[:60]!r} is not `class x y width height`"}
        if names is not None and kind not in names:
            return {"error": f"{where}: class {kind} has no name; there are 0 to {max(names, default=-1)}"}
        labels.append(names[kind] if names is not None else str(kind))
        boxes.append([x - width / 2, y - height / 2, x + width / 2, y + height / 2])
    return {"labels": labels, "boxes": boxes}


def _in_pixels(pictures: Pictures, picture: str, cell: dict[str, Any]) -> dict[str, Any]:
    cell = sized(pictures, picture, None, cell)
    if "error" in cell:
        return cell
    sides = (cell["width"], cell["height"]) * 2
    boxes = [[at * side for at, side in zip(box, sides, strict=True)] for box in cell["boxes"]]
    return {**cell, "boxes": boxes}
