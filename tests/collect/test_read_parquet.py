"""Parquet: files held as bytes and read when asked for, class names in the header, and what is refused."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from snowball.collect.read import parquet
from snowball.table import Table

Read = Callable[..., Table]
Refusal = Callable[..., str]


def _kinds(table: Table) -> dict[str, str]:
    return {name: column.kind for name, column in table.columns.items()}


def _parquet(folder: Path, columns: dict[str, Any], metadata: dict[str, str] | None = None, **keys: Any) -> Path:
    path = folder / "rows.parquet"
    pq.write_table(pa.table(columns).replace_schema_metadata(metadata), path, **keys)
    return path


@pytest.mark.parametrize("struct", [False, True])
def test_parquet_of_bytes(tmp_path: Path, read: Read, png: Callable[[int], bytes], struct: bool) -> None:
    pictures: list[Any] = [png(n) for n in range(10)]
    pictures[7] = None
    stored = [{"bytes": p, "path": "x.png"} for p in pictures] if struct else pictures
    path = _parquet(tmp_path, {"picture": stored, "label": [n % 2 for n in range(10)]}, row_group_size=3)
    table = read(path)
    assert _kinds(table) == {"picture": "image", "label": "label"}
    cells = table.column("picture").cells
    wanted = [*pictures[:7], str(tmp_path / "x.png") if struct else None, *pictures[8:]]
    assert list(cells) == wanted
    assert [cells[-1], cells[9], cells[2:4]] == [pictures[9], pictures[9], pictures[2:4]]
    assert pickle.loads(pickle.dumps(cells))[5] == pictures[5]  # noqa: S301 (our own bytes)
    with pytest.raises(IndexError):
        cells[10]
    assert table.where(0) == "rows.parquet, row 1"


def test_parquet_paths_lead_nowhere_else(tmp_path: Path, read: Read) -> None:
    rows = [{"bytes": None, "path": path} for path in ("a.png", "/etc/b.png", "../c.png", None)]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    table = read(_parquet(tmp_path, {"picture": pa.array(rows, kind), "label": ["a", "b", "a", "b"]}))
    assert list(table.column("picture").cells) == [str(tmp_path / "a.png"), None, None, None]


def test_parquet_holds_a_bounded_number_of_groups(
    tmp_path: Path, read: Read, png: Callable[[int], bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "HELD_BYTES", 3 * len(png(0)) + 100)
    path = _parquet(tmp_path, {"picture": [png(n) for n in range(10)], "label": ["a", "b"] * 5}, row_group_size=2)
    cells = read(path).column("picture").cells
    assert isinstance(cells, parquet.ParquetCells)
    assert [cells[row] for row in (9, 0, 4, 9)] == [png(row) for row in (9, 0, 4, 9)]
    assert len(cells._held) == 1


def test_parquet_class_names(tmp_path: Path, read: Read, refusal: Refusal, png: Callable[[int], bytes]) -> None:
    features = {"label": {"_type": "ClassLabel", "names": ["cat", "dog"]}}
    metadata = {"huggingface": json.dumps({"info": {"features": features}})}
    pictures = [png(n) for n in range(4)]
    table = read(_parquet(tmp_path, {"image": pictures, "label": [0, 1, -1, 0]}, metadata))
    assert table.column("label").cells == ["cat", "dog", None, "cat"]
    assert "row 3: class 2, but there are 2 class names" in refusal(_parquet(tmp_path, {"label": [0, 1, 2]}, metadata))
    strange = {"huggingface": json.dumps({"info": [1]})}
    assert read(_parquet(tmp_path, {"image": pictures, "label": [0, 1, 1, 0]}, strange)).column("label").cells[0] == "0"


def test_parquet_of_paths_and_other_columns(tmp_path: Path, read: Read, fill: Callable[..., Path]) -> None:
    folder = fill(tmp_path, *(f"img/{n}.png" for n in range(6)))
    columns = {
        "file": [f"img/{n}.png" for n in range(6)],
        "label": pa.array(["a", "b"] * 3).dictionary_encode(),
        "blob": [b"\0\1"] * 6,
        "tags": [["x"]] * 6,
        "weight": [n / 7 for n in range(6)],
    }
    assert _kinds(read(_parquet(folder, columns))) == {
        "file": "image",
        "label": "label",
        "blob": "bytes",
        "tags": "nested",
        "weight": "number",
    }


def test_damaged_parquet_is_refused(tmp_path: Path, refusal: Refusal) -> None:
    path = _parquet(tmp_path, {"a": ["x"] * 1000, "label": ["a", "b"] * 500})
    whole = path.read_bytes()
    for data in (b"", b"PAR1", whole[: len(whole) // 2], b"not parquet at all"):
        path.write_bytes(data)
        assert "rows.parquet: not readable as Parquet" in refusal(path)
    empty = _parquet(tmp_path, {"a": pa.array([], pa.string())})
    assert "rows.parquet: no rows" in refusal(empty)
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    pq.write_table(twice, path)
    assert "column 'a' stands in it twice" in refusal(path)
