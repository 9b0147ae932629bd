"""Pascal VOC: an XML file a picture (Everingham et al., 2010), with ImageSets/Main/train.txt and the like."""

from __future__ import annotations

import math
import os
import re
from typing import Any
from xml.etree.ElementTree import Element, ParseError

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import parse

from .boxes import Annotated, Pictures, path_split, sized, unannotated
from .columns import SPLIT_WORDS

__all__ = ["read_voc"]

_MAX_BYTES = 16 << 20  # of one file: a picture with 50,000 boxes
_BEGINNING = 2000  # bytes in which the root element stands
_ROOT = re.compile(rb"<annotation[\s/>]")  # not <annotations>, which is CVAT's


def read_voc(pictures: Pictures) -> list[Annotated]:
    """A row for each XML file that is an annotation, and one for each picture without."""
    files = [path for path in pictures.notes if path.lower().endswith(".xml") and _is_annotation(pictures, path)]
    if not files:
        return []
    listed = _listed(pictures)
    rows = []
    for path in files:
        picture, cell = _read(pictures, path)
        split = listed.get(os.path.splitext(os.path.basename(picture))[0], "") if listed else path_split(picture)
        rows.append(Annotated(picture, split, cell))
    return [*rows, *unannotated(pictures, {row.picture for row in rows}, "annotation (.xml)")]


def _is_annotation(pictures: Pictures, path: str) -> bool:
    with open(pictures.root / path, "rb") as file:
        return _ROOT.search(file.read(_BEGINNING)) is not None


def _listed(pictures: Pictures) -> dict[str, str]:
    """Picture's stem -> split, from lists such as ImageSets/Main/train.txt.

    Main is detection's; VOC 2012 has other splits of the same pictures beside it, for segmentation and actions.
    """
    lists = [path for path in pictures.notes if path.endswith(".txt") and "ImageSets" in path.split("/")]
    found: dict[str, str] = {}
    for path in [path for path in lists if "Main" in path.split("/")] or lists:
        split = SPLIT_WORDS.get(os.path.splitext(os.path.basename(path))[0].lower())
        if split:
            text = (pictures.root / path).read_text(encoding="utf-8", errors="replace")
            found |= {line.split()[0]: split for line in text.splitlines() if line.strip()}
    return found


def _read(pictures: Pictures, path: str) -> tuple[str, dict[str, Any]]:
    """The picture of one file, and its boxes or what is wrong with them."""
    stem = os.path.splitext(os.path.basename(path))[0]
    fallback = pictures.find(stem, path)
    try:
        if os.path.getsize(pictures.root / path) > _MAX_BYTES:
            return fallback or stem, {"error": f"{path}: more than {_MAX_BYTES:,} bytes"}
        root = parse(pictures.root / path, forbid_dtd=True).getroot()
    except DefusedXmlException:
        return fallback or stem, {"error": f"{path}: declares entities, as an XML bomb does; an annotation has none"}
    except (ParseError, ValueError, LookupError) as error:
        return fallback or stem, {"error": f"{path}: not XML ({error})"}
    named = _text(root, "filename") or stem
    picture = fallback or pictures.find(named, path)
    if picture is None:
        return named.replace("\\", "/").split("/")[-1], {"error": f"{path}: its picture {named!r} is not there"}
    labels, boxes = [], []
    for number, thing in enumerate(root.iter("object"), start=1):
        label = _text(thing, "name")
        box = [_number(_text(thing, f"bndbox/{side}")) for side in ("xmin", "ymin", "xmax", "ymax")]
        if not label or None in box:
            lacking = "name" if not label else "bndbox of four numbers"
            return picture, {"error": f"{path}, object {number}: no {lacking}"}
        labels.append(label)
        boxes.append(box)
    sides = [_text(root, f"size/{side}") for side in ("width", "height")]
    width, height = (_number(side) for side in sides)
    if not all(math.isfinite(side or 0) for side in (width, height)):
        return picture, {"error": f"{path}: size {sides[0]!r} x {sides[1]!r} is not two whole numbers"}
    stated = (int(width), int(height)) if width and height else None
    return picture, sized(pictures, picture, stated, {"labels": labels, "boxes": boxes, "where": path})


def _text(element: Element, path: str) -> str:
    return (element.findtext(path) or "").strip()


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None
