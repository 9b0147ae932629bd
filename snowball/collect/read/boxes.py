"""Folders of annotated pictures: Pascal VOC, COCO and YOLO, told apart by looking. Pixels, and x1, y1, x2, y2.

Only pictures that were found by walking the folder are ever opened, whatever an annotation names.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from ...finding import Finding
from ...table import Column, Table
from .columns import SPLIT_WORDS
from .folder import scan
from .media import kind_of_path, kind_suffixes, path_cells

__all__ = ["Annotated", "Pictures", "box_table"]

_ORIENTATION = 0x0112  # the EXIF tag; from 5 on a picture lies on its side
NOTED = (".xml", ".json", ".yaml", ".yml", ".txt", ".names")


@dataclass(frozen=True)
class Annotated:
    """One picture, as a path relative to the folder, and the cell of its boxes: see kinds/boxes.py."""

    picture: str
    split: str
    cell: dict[str, Any]


@dataclass
class Pictures:
    """The pictures and the annotation files below a folder, as sorted paths relative to it."""

    root: Path
    paths: list[str]
    notes: list[str]
    findings: list[Finding] = field(default_factory=list)

    @cached_property
    def by_stem(self) -> dict[str, list[str]]:
        """Name without suffix -> pictures."""
        return _index(self.paths, lambda path: os.path.splitext(os.path.basename(path))[0])

    @cached_property
    def by_name(self) -> dict[str, list[str]]:
        """Name -> pictures."""
        return _index(self.paths, os.path.basename)

    def find(self, name: str, beside: str, split: str = "") -> str | None:
        """The picture that an annotation file at `beside` means by `name`: the one with most of its path, and nearest.

        A name without a suffix is any picture's of that stem. Of several as near, the one of `split` is meant.
        """
        base = os.path.basename(name.replace("\\", "/"))
        stem = os.path.splitext(base)[0]
        # The whole name goes before the part up to its last dot: `a.b` is the stem of a.b.jpg, not of a.jpg.
        candidates = self.by_name.get(base) or self.by_stem.get(base) or self.by_stem.get(stem, [])
        wanted = [*beside.split("/")[:-1], *name.replace("\\", "/").split("/")[:-1]]

        def near(path: str) -> tuple[int, bool]:
            return sum(folder in wanted for folder in path.split("/")[:-1]), path_split(path) == split

        return max(candidates, key=near, default=None)

    def size(self, picture: str) -> tuple[int, int] | None:
        """Width and height as the picture is seen, from its header; None where it has none to be read."""
        from ...kinds._image_decode import FORMATS

        try:
            with Image.open(self.root / picture, formats=FORMATS) as opened:
                width, height = opened.size
                return (height, width) if opened.getexif().get(_ORIENTATION, 1) >= 5 else (width, height)
        except Exception:  # a damaged picture: its own kind says what is wrong with it
            return None


def _index(paths: list[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for path in paths:
        found.setdefault(key(path), []).append(path)
    return found


def path_split(path: str) -> str:
    """The split that a folder on the way to a file names, or an empty text.

    >>> path_split("valid/images/1.jpg"), path_split("images/train2017/1.jpg"), path_split("JPEGImages/1.jpg")
    ('val', 'train', '')
    """
    for part in path.split("/")[:-1]:
        if word := SPLIT_WORDS.get(part.lower().rstrip("0123456789")):
            return word
    return ""


def sized(pictures: Pictures, picture: str, stated: tuple[int, int] | None, cell: dict[str, Any]) -> dict[str, Any]:
    """The cell with the picture's own size; where the annotation states another, its boxes mean something else."""
    size = pictures.size(picture) or stated
    if size is None:
        return {"error": f"{cell['where']}: no size stated, and {picture} cannot be read"}
    if stated is not None and stated != size:
        turned = " (turned by its EXIF orientation?)" if stated == size[::-1] else ""
        return {
            "error": f"{cell['where']}: made for {stated[0]} x {stated[1]} pixels, but {picture} has"
            f" {size[0]} x {size[1]}{turned}"
        }
    return {**cell, "width": size[0], "height": size[1]}


def box_table(folder: Path, name: str, shown: str) -> tuple[Table, list[Finding]] | None:
    """The table of a folder of annotated pictures, columns `image` and `boxes`; None where there are no annotations."""
    from .boxes_coco import read_coco
    from .boxes_voc import read_voc
    from .boxes_yolo import read_yolo

    images = {suffix: kind for suffix, kind in kind_suffixes().items() if kind == "image"}
    suffixes = {**images, **dict.fromkeys(NOTED, "note")}
    found = scan(folder, suffixes)
    paths = [path for path in found.files if kind_of_path(path, images)]
    notes = [path for path in found.files if not kind_of_path(path, images)]
    pictures = Pictures(folder, paths, notes)
    for read in (read_coco, read_voc, read_yolo):
        if rows := read(pictures):
            return _table(pictures, rows, name, shown)
    return None


def _table(pictures: Pictures, rows: list[Annotated], name: str, shown: str) -> tuple[Table, list[Finding]]:
    rows = sorted(rows, key=lambda row: row.picture.split("/"))
    paths = [row.picture for row in rows]
    splits = [row.split for row in rows]
    if "train" not in splits:
        splits = [""] * len(splits)
    columns = {
        "image": Column("image", "image", path_cells("image", pictures.root, paths)),
        "boxes": Column("boxes", "boxes", [row.cell for row in rows]),
    }
    return Table(name, columns, splits, lambda row: os.path.join(shown, paths[row])), pictures.findings


def unannotated(pictures: Pictures, annotated: set[str], what: str) -> Iterator[Annotated]:
    """Rows for the pictures that no annotation names: they are set aside, each by name."""
    for path in pictures.paths:
        if path not in annotated:
            yield Annotated(path, path_split(path), {"error": f"no {what} for this picture"})
