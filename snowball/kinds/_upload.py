"""A file as others hand it over: in a cell of a table, or in a request."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..kind import Absent, Unreadable

__all__ = ["file_bytes", "file_of"]


def file_of(cell: Any, what: str) -> Path | bytes:
    """The file that a cell is or names: a path, its bytes, or {"bytes", "path"} as Hugging Face's data sets have it."""
    if isinstance(cell, Mapping):
        cell = cell["bytes"] if cell.get("bytes") is not None else cell.get("path")
    if not cell:
        raise Unreadable("zero bytes") if cell == b"" else Absent(f"no {what} in this row")
    if not isinstance(cell, str | bytes | Path):
        raise Unreadable(f"neither a path nor bytes: {type(cell).__name__}")
    return Path(cell) if isinstance(cell, str) else cell


def file_bytes(value: bytes | str, what: str) -> bytes:
    """The bytes of an upload, or of base64, perhaps as a data URI, in a JSON field. Raises Unreadable for other text.

    >>> file_bytes("data:image/png;base64,aGk=", "picture")
    b'hi'
    """
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(f"the text is not a base64 encoded {what}") from None
