"""The log of Udacity's driving simulator: three cameras' pictures and what the driver did, mostly without a header."""

from __future__ import annotations

from collections.abc import Sequence

from .media import kind_of_path, kind_suffixes

__all__ = ["LOG_COLUMNS", "LOG_NUMBERS", "is_log_row"]

_HEADER = "center,left,right,steering,throttle,brake,speed"
LOG_COLUMNS = tuple(_HEADER.split(","))
_PICTURES = 3
LOG_NUMBERS = LOG_COLUMNS[_PICTURES:]


def is_log_row(fields: Sequence[str]) -> bool:
    """Whether a row is one of such a log: three pictures, then four numbers.

    >>> is_log_row(["IMG/c.jpg", " IMG/l.jpg", "C:\\\\IMG\\\\r.jpg", "-0.1", "0", "0", "6.5"])
    True
    >>> is_log_row(LOG_COLUMNS)
    False
    """
    if len(fields) != len(LOG_COLUMNS):
        return False
    suffixes = kind_suffixes()
    pictures = all(kind_of_path(field.strip(), suffixes) == "image" for field in fields[:_PICTURES])
    return pictures and sum(_is_number(field) for field in fields[_PICTURES:]) >= _PICTURES


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
