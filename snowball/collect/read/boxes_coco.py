"""COCO: one JSON file a split, with `images`, `annotations` and `categories` (Lin et al., 2014)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from ...finding import BadInput, Finding
from .boxes import Annotated, Pictures, path_split, sized
from .split_names import split_of_name

__all__ = ["read_coco"]

_KEYS = {"images", "annotations", "categories"}
_IDS = (("images", "id"), ("annotations", "image_id"), ("annotations", "category_id"), ("categories", "id"))
_BEGINNING = 1 << 16  # bytes in which one of the keys stands
_MARKS = (b'"file_name"', b'"image_id"', b'"bbox"')  # of which a damaged file of COCO still holds one
_SHOWN = 20  # pictures named in a finding


def read_coco(pictures: Pictures) -> list[Annotated]:
    """A row for each picture that a file lists. Files of other tasks (captions, keypoints) are passed over."""
    candidates = [path for path in pictures.notes if path.lower().endswith(".json") and _may_be(pictures, path)]
    instances = [path for path in candidates if os.path.basename(path).startswith("instances")]
    rows: list[Annotated] = []
    crowds = 0
    for path in instances or candidates:
        content = _load(pictures, path)
        if content is None:
            continue
        split = split_of_name(os.path.splitext(os.path.basename(path))[0].rstrip("0123456789")) or path_split(path)
        found, skipped = _rows(pictures, path, content, split)
        rows += found
        crowds += skipped
    listed = {row.picture for row in rows}
    if rows and (unlisted := [path for path in pictures.paths if path not in listed]):
        message = f"{len(unlisted)} pictures are in no file of annotations: they are left out, e.g. {unlisted[0]}"
        evidence = {"paths": unlisted[:_SHOWN], "count": len(unlisted)}
        pictures.findings.append(Finding("unlisted-pictures", "note", message, evidence))
    if crowds:
        message = f"{crowds} annotations are of crowds (iscrowd): they are left out"
        pictures.findings.append(Finding("crowds", "note", message, {"count": crowds}))
    return rows


def _may_be(pictures: Pictures, path: str) -> bool:
    with open(pictures.root / path, "rb") as file:
        beginning = file.read(_BEGINNING)
    return any(b'"%s"' % key.encode() in beginning for key in _KEYS)


def _load(pictures: Pictures, path: str) -> Mapping[str, Any] | None:
    """The content of a file, or None where it is JSON of something else."""
    written = (pictures.root / path).read_bytes()
    try:
        content = json.loads(written)
    except (ValueError, RecursionError) as error:
        if not any(mark in written for mark in _MARKS):
            return None
        raise BadInput(f"{pictures.root / path}: not JSON ({error})") from error
    if not isinstance(content, dict) or not content.keys() >= _KEYS:
        return None
    if not all(isinstance(content[key], list) and all(isinstance(one, dict) for one in content[key]) for key in _KEYS):
        raise BadInput(f"{pictures.root / path}: images, annotations and categories should be lists of objects")
    for key, field in _IDS:
        for number, one in enumerate(content[key]):
            if isinstance(one.get(field), (list, dict)):
                raise BadInput(
                    f"{pictures.root / path}: {key} {number}: {field} {one[field]!r} is not a number or a text"
                )
    annotations = content["annotations"]
    return content if not annotations or any("bbox" in one for one in annotations) else None


def _rows(pictures: Pictures, path: str, content: Mapping[str, Any], split: str) -> tuple[list[Annotated], int]:
    labels = {category.get("id"): str(category.get("name")) for category in content["categories"]}
    own: dict[Any, list[dict[str, Any]]] = {}
    crowds = 0
    for number, one in enumerate(content["annotations"]):
        if one.get("iscrowd"):
            crowds += 1
        else:
            own.setdefault(one.get("image_id"), []).append({**one, "number": number})
    rows = []
    known = set()
    for image in content["images"]:
        known.add(image.get("id"))
        name = str(image.get("file_name", ""))
        picture = pictures.find(name, path, split)
        if picture is None:
            missing = {"error": f"{path}: its picture {name!r} is not there"}
            rows.append(Annotated(os.path.basename(name) or "?", split, missing))
            continue
        cell = _cell(path, own.get(image.get("id"), []), labels)
        if "error" not in cell:
            stated = image.get("width"), image.get("height")
            real = all(isinstance(side, int) and side > 0 for side in stated)
            cell = sized(pictures, picture, stated if real else None, cell)
        rows.append(Annotated(picture, split or path_split(picture), cell))
    if stray := own.keys() - known:
        first = own[next(iter(stray))][0]
        raise BadInput(
            f"{pictures.root / path}: annotation {first['number']}: image_id {first.get('image_id')!r} is no image's id"
        )
    return rows, crowds


def _cell(path: str, annotations: list[dict[str, Any]], labels: Mapping[Any, str]) -> dict[str, Any]:
    names, boxes = [], []
    for one in annotations:
        where = f"{path}, annotation {one['number']}"
        if one.get("category_id") not in labels:
            return {"error": f"{where}: category_id {one.get('category_id')!r} is not among the categories"}
        corners = _corners(one.get("bbox"))
        if corners is None:
            return {"error": f"{where}: bbox {str(one.get('bbox'))[:60]} is not [x, y, width, height]"}
        names.append(labels[one["category_id"]])
        boxes.append(corners)
    return {"labels": names, "boxes": boxes, "where": path}


def _corners(box: Any) -> list[float] | None:
    """x1, y1, x2, y2 of x, y, width, height, or None where it is something else."""
    if not (isinstance(box, list) and len(box) == 4 and all(isinstance(at, (int, float)) for at in box)):
        return None
    try:
        x, y, width, height = (float(at) for at in box)
    except OverflowError:  # a whole number of hundreds of digits
        return None
    return [x, y, x + width, y + height]
