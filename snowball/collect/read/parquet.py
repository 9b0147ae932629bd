"""Parquet files. Columns of numbers and text are read whole; bytes and nested values stay on disk until asked for."""

from __future__ import annotations

import bisect
import json
import os
import threading
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...finding import BadInput
from .cells import LazyCells
from .media import kind_of_bytes, kind_of_path, kind_suffixes
from .raw import Raw

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["ParquetCells", "class_names", "read_parquet", "with_class_names"]

HELD_BYTES = 256 << 20  # decoded row groups that one column keeps
MAX_COLUMNS = 1000
_SAMPLE = 20


def read_parquet(path: Path) -> Raw:
    """The columns of a Parquet file; rows are numbered from 1.

    A column of bytes, or of {bytes, path} as Hugging Face writes it, is the kind that its bytes begin like.
    Class names that Hugging Face keeps in the file's header take the place of class numbers.
    """
    import pyarrow.parquet as pq

    with _reporting(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        if not file.metadata.num_rows:
            raise BadInput(f"{path}: no rows")
        if len(schema) > MAX_COLUMNS:
            raise BadInput(f"{path}: {len(schema):,} columns; {MAX_COLUMNS:,} is the most")
        if twice := sorted({name for name in schema.names if schema.names.count(name) > 1}):
            raise BadInput(f"{path}: column {twice[0]!r} stands in it twice")
        ends = list(accumulate(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)))
        plain = [column.name for column in schema if _is_plain(column.type)]
        table = file.read(columns=plain)
        columns: dict[str, Sequence[Any]] = {}
        for column in schema:
            name = column.name
            columns[name] = table.column(name).to_pylist() if name in plain else ParquetCells(path, name, ends)
    names = _stated_names(schema.metadata)
    columns |= {name: with_class_names(path, columns[name], names[name]) for name in names.keys() & set(plain)}
    kinds = {name: _kind_of(columns[name]) for name in columns if name not in plain}
    return Raw(path, columns, lambda row: f"{path.name}, row {row + 1}", path.parent, kinds)


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise BadInput(f"{path}: not readable as Parquet ({reason})") from error


def _is_plain(kind: pa.DataType) -> bool:
    import pyarrow.types as types

    if types.is_dictionary(kind):
        return _is_plain(kind.value_type)
    nested = types.is_nested(kind) or types.is_binary(kind) or types.is_large_binary(kind)
    return not (nested or types.is_fixed_size_binary(kind) or types.is_binary_view(kind))


def _kind_of(cells: Sequence[Any]) -> str:
    """The kind of cells that hold files, by the first few; `bytes` or `nested` where they hold none."""
    suffixes = kind_suffixes()
    found = set()
    for cell in cells[:_SAMPLE]:
        if isinstance(cell, bytes):
            found.add(kind_of_bytes(cell) or "bytes")
        elif cell is not None:
            found.add(kind_of_path(cell, suffixes) or "nested" if isinstance(cell, str) else "nested")
    files = found - {"bytes", "nested"}
    return files.pop() if len(files) == 1 else "bytes" if "bytes" in found else "nested"


def _stated_names(metadata: Mapping[bytes, bytes] | None) -> dict[str, list[str]]:
    """column -> class names, from the header that Hugging Face's datasets writes; a strange header has none."""
    try:
        features = json.loads((metadata or {}).get(b"huggingface", b"{}"))["info"]["features"]
        return {name: names for name, feature in features.items() if (names := class_names(feature))}
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError):
        return {}


def class_names(feature: Any) -> list[str]:
    """The names of a ClassLabel feature in its JSON form, else none."""
    names = feature.get("names") if isinstance(feature, dict) and feature.get("_type") == "ClassLabel" else None
    return [str(name) for name in names] if isinstance(names, list) else []


def with_class_names(origin: str | Path, numbers: Sequence[Any], names: Sequence[str]) -> list[str | None]:
    """Class numbers as names; None and -1, which stand for no label, as None."""
    for row, number in enumerate(numbers):
        if number is not None and not (isinstance(number, int) and -1 <= number < len(names)):
            raise BadInput(f"{origin}, row {row + 1}: class {number!r}, but there are {len(names)} class names")
    return [None if number is None or number < 0 else names[number] for number in numbers]


class ParquetCells(LazyCells):
    """One column, read a row group at a time; the last groups used, up to HELD_BYTES, are kept."""

    def __init__(self, path: Path, column: str, ends: Sequence[int]) -> None:
        self.num_rows = ends[-1]
        self._path = path
        self._column = column
        self._ends = ends
        self._held: OrderedDict[int, Any] = OrderedDict()
        self._lock = threading.Lock()

    def _cell(self, row: int) -> Any:
        group = bisect.bisect_right(self._ends, row)
        start = self._ends[group - 1] if group else 0
        cell = self._group(group)[row - start].as_py()
        if isinstance(cell, dict) and cell.keys() == {"bytes", "path"}:
            return cell["bytes"] if cell["bytes"] is not None else self._inside(cell["path"])
        return cell

    def _inside(self, path: str | None) -> str | None:
        """A path beside the file; the bytes of a Parquet file may come from anywhere, so it may name nothing else."""
        if not path or os.path.isabs(path) or ".." in Path(path).parts:
            return None
        return os.path.join(self._path.parent, path)

    def _group(self, group: int) -> Any:
        import pyarrow.parquet as pq

        with self._lock:
            if group in self._held:
                self._held.move_to_end(group)
                return self._held[group]
            with _reporting(self._path), pq.ParquetFile(self._path) as file:
                values = file.read_row_group(group, columns=[self._column]).column(self._column)
            self._held[group] = values
            while len(self._held) > 1 and sum(part.nbytes for part in self._held.values()) > HELD_BYTES:
                self._held.popitem(last=False)
            return values

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name not in ("_held", "_lock")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._held = OrderedDict()
        self._lock = threading.Lock()
