"""idx files: every number of the header is checked against the file before anything is allocated."""

from __future__ import annotations

import gzip
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snowball.collect.read.idx import read_idx
from snowball.finding import BadInput
from snowball.table import Table

IdxFile = Callable[..., Path]
Refusal = Callable[..., str]

PICTURES = np.arange(60, dtype=np.uint8).reshape(4, 3, 5)


def _refused(path: Path, num_dims: int = 3) -> str:
    with pytest.raises(BadInput) as caught:
        read_idx(path, num_dims)
    assert path.name in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_reads_what_was_written(tmp_path: Path, idx_file: IdxFile, suffix: str) -> None:
    path = idx_file(tmp_path / f"a-images-idx3-ubyte{suffix}", PICTURES)
    assert (read_idx(path, 3) == PICTURES).all()


@pytest.mark.parametrize("suffix", ["", ".gz"])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"magic": 0x801}, "magic number 2049"),
        ({"header": (5, 3, 5)}, "truncated"),
        ({"header": (3, 3, 5)}, "more data than its header"),
        ({"header": (4, 0, 5)}, "a zero"),
        ({"header": (2**32 - 1, 2**32 - 1, 2**32 - 1)}, "more than 4 GiB"),
    ],
)
def test_wrong_headers_are_refused(
    tmp_path: Path, idx_file: IdxFile, suffix: str, change: dict[str, object], message: str
) -> None:
    path = idx_file(tmp_path / f"a-images-idx3-ubyte{suffix}", PICTURES, **change)
    assert message in _refused(path)


def test_a_file_shorter_than_a_header_is_refused(tmp_path: Path) -> None:
    for name, data in (("a", b""), ("b", b"\0\0\x08\x03\0\0")):
        (tmp_path / name).write_bytes(data)
        assert "too few for an idx header" in _refused(tmp_path / name)


def test_cut_and_damaged_gzip_is_refused(tmp_path: Path, idx_file: IdxFile) -> None:
    path = idx_file(tmp_path / "a.gz", np.random.default_rng(0).integers(0, 256, (40, 30, 30)))
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    assert "truncated: the gzip stream ends early" in _refused(path)
    path.write_bytes(whole[:-8] + bytes([whole[-8] ^ 1]) + whole[-7:])  # the checksum at the end
    assert "damaged gzip file" in _refused(path)
    path.write_bytes(b"PK" + whole)
    assert "damaged gzip file" in _refused(path)


def test_a_gzip_bomb_is_not_unpacked(tmp_path: Path) -> None:
    """50 MB of zeros behind a header that promises 15 bytes: what is beyond the header's size is never held."""
    path = tmp_path / "a.gz"
    path.write_bytes(gzip.compress(struct.pack(">4I", 0x803, 1, 3, 5) + bytes(50_000_000)))
    tracemalloc.start()
    assert "more data than its header" in _refused(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(("name", "message"), [("a.gz", "gzipped bytes can hold"), ("a", "the file has 76")])
def test_a_header_that_promises_too_much_allocates_nothing(
    tmp_path: Path, idx_file: IdxFile, name: str, message: str
) -> None:
    path = idx_file(tmp_path / name, PICTURES, header=(60_000, 200, 200))
    tracemalloc.start()
    assert message in _refused(path)
    assert tracemalloc.get_traced_memory()[1] < 5_000_000
    tracemalloc.stop()


def test_counts_must_agree(idx_folder: Path, idx_file: IdxFile, refusal: Refusal) -> None:
    idx_file(idx_folder / "t10k-labels-idx1-ubyte", np.zeros(5))
    message = refusal(idx_folder)
    assert "4 pictures" in message
    assert "t10k-labels-idx1-ubyte has 5 labels" in message


def test_sizes_must_agree(idx_folder: Path, idx_file: IdxFile, refusal: Refusal) -> None:
    idx_file(idx_folder / "train-images-idx3-ubyte.gz", np.zeros((6, 5, 5)))
    assert "5 x 5" in refusal(idx_folder)


def test_a_lone_file_is_refused(idx_folder: Path, refusal: Refusal) -> None:
    (idx_folder / "train-labels-idx1-ubyte").unlink()
    message = refusal(idx_folder)
    assert "train-images-idx3-ubyte.gz" in message
    assert "labels-idx1" in message


@pytest.mark.parametrize("name", ["train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte"])
def test_one_file_stands_for_its_pair(idx_folder: Path, read: Callable[..., Table], name: str) -> None:
    table = read(idx_folder / name)
    assert len(table) == 6
    assert set(table.split) == {""}


def test_class_numbers_beyond_the_names_are_refused(idx_folder: Path) -> None:
    from snowball.collect.read.idx import find_pairs, idx_table

    with pytest.raises(BadInput, match=r"label 2 is 2, but the classes are 0\.\.1"):
        idx_table("x", find_pairs(idx_folder), ["a", "b"])


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_no_bytes_crash_the_reader(tmp_path: Path, data: st.DataObject) -> None:
    """Whatever stands in the file: an array of the header's shape, or BadInput."""
    shape = data.draw(st.tuples(*[st.integers(0, 5)] * 3))
    body = data.draw(st.binary(max_size=150))
    raw = data.draw(st.one_of(st.binary(max_size=60), st.just(struct.pack(">4I", 0x803, *shape) + body)))
    packed = data.draw(st.booleans())
    path = tmp_path / ("a.gz" if packed else "a")
    path.write_bytes(gzip.compress(raw) if packed and data.draw(st.booleans()) else raw)
    try:
        array = read_idx(path, 3)
    except BadInput:
        return
    assert array.shape == struct.unpack(">3I", raw[4:16])
    assert array.tobytes() == raw[16:]
