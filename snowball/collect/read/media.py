"""Which kind a file belongs to: by its suffix, as the kinds declare them, or by its first bytes."""

from __future__ import annotations

import os
from collections.abc import Mapping

__all__ = ["kind_of_bytes", "kind_of_path", "kind_suffixes"]

# How files of a kind begin, for cells that hold a whole file and no name.
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF8", "image"),
    (b"BM", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    *((b"P%d" % digit, "image") for digit in range(1, 7)),
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
    return next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
