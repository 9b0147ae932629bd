"""CSV and TSV files: a header, then rows of as many fields. A driving log needs no header.

CSV fields are split at whichever of `,` `;` tab and `|` the header has most of, and may be quoted. TSV fields are
split at tabs; they are quoted where the header is.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from ...finding import BadInput
from .driving_log import LOG_COLUMNS, LOG_NUMBERS, is_log_row
from .lines import text_lines
from .raw import Raw

__all__ = ["read_delimited"]

MAX_FIELD = 1 << 20  # characters; a longer one is a quote that is never closed
MAX_COLUMNS = 1000
_DELIMITERS = ",;\t|"


def read_delimited(path: Path) -> Raw:
    """The columns of a CSV or TSV file as text. A row is numbered by the line it begins in, the header being row 1.

    Raises BadInput, naming the row, for one that has not as many fields as the header.
    """
    rows = _fields(path)
    first, header = next(rows, (0, []))
    is_log = is_log_row(header)
    names = list(LOG_COLUMNS) if is_log else _column_names(path, header)
    if is_log:  # its first row is a row
        rows = chain([(first, header)], rows)
    columns: list[list[str]] = [[] for _ in names]
    lines = array("L")
    for line, fields in rows:
        if len(fields) != len(names):
            found = f"{len(fields)} fields, but {'a driving log has' if is_log else 'the header names'} {len(names)}"
            raise BadInput(f"{path}, row {line}: {found}: {_shown(names)}")
        lines.append(line)
        for column, field in zip(columns, fields, strict=True):
            column.append(field)
    if not lines:
        raise BadInput(f"{path}: no rows below the header {_shown(names)}")
    kinds = dict.fromkeys(LOG_NUMBERS, "number") if is_log else {}
    named = dict(zip(names, columns, strict=True))
    return Raw(path, named, lambda row: f"{path.name}, row {lines[row]}", path.parent, kinds)


def _fields(path: Path) -> Iterator[tuple[int, list[str]]]:
    """(line, fields) of every row that is not blank."""
    lines = text_lines(path)
    first = next(lines, None)
    if first is None or not first.strip():
        raise BadInput(f"{path}: {'empty' if first is None else 'its first row is blank'}: it should name the columns")
    tabs = path.suffix.lower() == ".tsv"
    delimiter = "\t" if tabs else max(_DELIMITERS, key=first.count)
    before = csv.field_size_limit(MAX_FIELD)
    text = chain([first], lines)
    if tabs and not first.startswith('"'):
        reader = csv.reader(text, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=True)
    else:
        reader = csv.reader(text, delimiter=delimiter, strict=True)
    begun = 1
    try:
        for fields in reader:
            if fields:
                yield begun, fields
            begun = reader.line_num + 1
    except csv.Error as error:
        raise BadInput(f"{path}, row {begun}: {error}: a quote that is not closed, or not doubled?") from error
    finally:
        csv.field_size_limit(before)


def _column_names(path: Path, header: list[str]) -> list[str]:
    if len(header) > MAX_COLUMNS:
        raise BadInput(f"{path}: {len(header):,} columns; {MAX_COLUMNS:,} is the most")
    names = [field.strip() or f"column {number}" for number, field in enumerate(header, 1)]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise BadInput(f"{path}, row 1: column {twice!r} stands in the header twice")
    return names


def _shown(names: list[str]) -> str:
    return ", ".join(name[:40] for name in names[:10]) + (", ..." if len(names) > 10 else "")
