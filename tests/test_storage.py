"""Files are whole or absent: a full disk, a cut and any flipped bit are met by name."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch

from snowball.finding import BadInput
from snowball.storage import read_json, read_tensors, write_bytes, write_json, write_tensors

TENSORS = {"a": torch.arange(12.0).reshape(3, 4), "b/c": torch.tensor(7), "empty": torch.zeros(0, 2)}


def test_tensors_and_state_round_trip(tmp_path: Path) -> None:
    write_tensors(tmp_path / "x.safetensors", TENSORS, {"epoch": 3, "log": [{"loss": 0.5}]})
    tensors, state = read_tensors(tmp_path / "x.safetensors")
    assert state == {"epoch": 3, "log": [{"loss": 0.5}]}
    assert all(
        torch.equal(tensors[name], value) and tensors[name].dtype == value.dtype for name, value in TENSORS.items()
    )


def test_every_flipped_bit_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS, {"epoch": 3})
    whole = path.read_bytes()
    for position in range(len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 4]) + whole[position + 1 :])
        with pytest.raises(BadInput, match=r"x\.safetensors"):
            read_tensors(path)


def test_every_truncation_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    write_tensors(path, TENSORS)
    whole = path.read_bytes()
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"x\.safetensors"):
            read_tensors(path)


@contextmanager
def full_disk() -> Iterator[None]:
    """Every file is limited to 64 bytes: a write past that fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (64, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk_leaves_what_stood_there_before(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"a": 1})
    for write in (lambda: write_json(path, {"a": "b" * 100}), lambda: write_tensors(path, TENSORS)):
        with pytest.raises(BadInput, match=r"x\.json: could not be written"), full_disk():
            write()
        assert read_json(path) == {"a": 1}
        assert list(tmp_path.iterdir()) == [path]


def test_json_errors_name_the_file(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text("{")
    for name in ("x.json", "none.json"):
        with pytest.raises(BadInput, match=name):
            read_json(tmp_path / name)


def test_bytes_replace_bytes(tmp_path: Path) -> None:
    write_bytes(tmp_path / "x", b"one")
    write_bytes(tmp_path / "x", b"two")
    assert (tmp_path / "x").read_bytes() == b"two"
