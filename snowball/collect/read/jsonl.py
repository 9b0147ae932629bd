"""JSONL files: one JSON object a line, whose keys are the columns."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

from ...finding import BadInput
from .lines import text_lines
from .raw import Raw

__all__ = ["read_jsonl"]

MAX_COLUMNS = 1000


def read_jsonl(path: Path) -> Raw:
    """The columns of a JSONL file; a key that a row lacks is None there. A row is numbered by its line, from 1.

    Raises BadInput, naming the row, for a line that is not a JSON object.
    """
    columns: dict[str, list[Any]] = {}
    lines = array("L")
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        values = _parse(path, number, line)
        for name in [name for name in values if name not in columns]:
            columns[name] = [None] * len(lines)
        if len(columns) > MAX_COLUMNS:
            raise BadInput(f"{path}, row {number}: more than {MAX_COLUMNS:,} different keys so far")
        lines.append(number)
        for name, column in columns.items():
            column.append(values.get(name))
    if not lines:
        raise BadInput(f"{path}: empty: it should hold one JSON object a line")
    return Raw(path, columns, lambda row: f"{path.name}, row {lines[row]}", path.parent)


def _parse(path: Path, number: int, line: str) -> dict[str, Any]:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise BadInput(f"{path}, row {number}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise BadInput(f"{path}, row {number}: a JSON {_json_name(values)}, but each line should be an object {{...}}")
    return values


def _json_name(value: Any) -> str:
    if value is None:
        return "null"
    return {list: "array", str: "string", bool: "boolean"}.get(type(value), "number")
