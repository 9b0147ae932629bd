"""A file in a request: the bytes of an upload, or base64 in a JSON field."""

from __future__ import annotations

import base64
import binascii

from ..kind import Unreadable

__all__ = ["file_bytes"]


def file_bytes(value: bytes | str, what: str) -> bytes:
    """The file's bytes. A text may be a data URI. Raises Unreadable where it is no base64.

    >>> file_bytes("data:image/png;base64,aGk=", "picture")
    b'hi'
    """
    if isinstance(value, bytes):
        return value
    try:
        return base64.b64decode(value.rpartition("base64,")[2], validate=True)
    except (binascii.Error, ValueError):
        raise Unreadable(f"the text is not a base64 encoded {what}") from None
