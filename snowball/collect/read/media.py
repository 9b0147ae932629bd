"""Which kind a file belongs to: by its suffix, as the kinds declare them, or by its first bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence

from .cells import PathCells

__all__ = ["TEXT", "is_about", "kind_of_bytes", "kind_of_path", "kind_suffixes", "path_cells"]

TEXT = "text"
"""The kind whose cells are text themselves, so that a file of it is a cell of type Path."""

_ABOUT = re.compile(r"(readme|licen[cs]e)([-_. ].*)?", re.I)

# How files of a kind begin, for cells that hold a whole file and no name.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    *((b"P%d" % digit, "image") for digit in range(1, 7)),
    (b"\x1a\x45\xdf\xa3", "video"),
    (b"fLaC", "audio"),
    (b"OggS", "audio"),
    (b"ID3", "audio"),
)


def kind_suffixes() -> dict[str, str]:
    """suffix -> kind, for every kind that names the suffixes of its files, e.g. `.png` -> `image`."""
    from ...task import kinds

    none: frozenset[str] = frozenset()
    return {suffix: key for key, kind in kinds().items() for suffix in getattr(kind, "suffixes", none)}


def kind_of_path(path: str, suffixes: Mapping[str, str]) -> str | None:
    """The kind a path's suffix belongs to, in any case, or None."""
    return suffixes.get(os.path.splitext(path)[1].lower())


def kind_of_bytes(data: bytes) -> str | None:
    """The kind of a file by its first bytes, or None.

    >>> kind_of_bytes(b"GIF89a"), kind_of_bytes(b"hello")
    ('image', None)
    """
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image"
    if data[:4] == b"RIFF" and data[8:12] == b"WAVE":
        return "audio"
    if data[4:8] == b"ftyp" or (data[:4] == b"RIFF" and data[8:12] == b"AVI "):
        return "video"
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)


def is_about(name: str) -> bool:
    """Whether a file tells about the data beside it: README or LICENSE, with any suffix.

    >>> is_about("README"), is_about("License.txt"), is_about("readmission.txt")
    (True, True, False)
    """
    return _ABOUT.fullmatch(name) is not None


def path_cells(kind: str, folder: str | os.PathLike[str], paths: Sequence[str | None]) -> PathCells:
    """Cells of a kind that are files: paths as str, or as Path where a str would be the content itself."""
    return PathCells(folder, paths, as_path=kind == TEXT)
