"""Data made on the spot: pictures, folders of classes, idx files, and a cache that is thrown away."""

from __future__ import annotations

import gzip
import io
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from snowball.finding import BadInput
from snowball.recipe import DataSection
from snowball.table import Table


@pytest.fixture(autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Every test has a cache of its own, so that nothing is read that another one left."""
    folder = tmp_path_factory.mktemp("cache") / "snowball"
    monkeypatch.setenv("SNOWBALL_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def png() -> Callable[[int], bytes]:
    """png(n): the bytes of a small grey picture, different for each n."""

    def make(number: int) -> bytes:
        buffer = io.BytesIO()
        Image.fromarray(np.full((4, 4), number % 256, np.uint8)).save(buffer, "PNG")
        return buffer.getvalue()

    return make


@pytest.fixture
def fill(png: Callable[[int], bytes]) -> Callable[..., Path]:
    """fill(root, "cat/1.png", ...): write each file; pictures hold a picture, others their own name."""

    def write(root: Path, *names: str) -> Path:
        for number, name in enumerate(names):
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(png(number) if name.lower().endswith(".png") else name.encode())
        return root

    return write


@pytest.fixture
def idx_file() -> Callable[..., Path]:
    """idx_file(path, array): an idx file, gzipped where the name ends in .gz; `header` replaces the shape in it."""

    def write(path: Path, array: np.ndarray, header: tuple[int, ...] | None = None, magic: int | None = None) -> Path:
        shape = header or array.shape
        numbers = (0x800 + array.ndim if magic is None else magic, *shape)
        data = struct.pack(f">{len(numbers)}I", *numbers) + array.astype(np.uint8).tobytes()
        path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
        return path

    return write


@pytest.fixture
def idx_folder(tmp_path: Path, idx_file: Callable[..., Path]) -> Path:
    """A folder of four idx files: 6 training and 4 test pictures of 3 x 5, with labels 0, 1, 2, ..."""
    folder = tmp_path / "idx"
    folder.mkdir()
    for part, rows in (("train", 6), ("t10k", 4)):
        pictures = np.arange(rows * 15).reshape(rows, 3, 5)
        idx_file(folder / f"{part}-images-idx3-ubyte.gz", pictures)
        idx_file(folder / f"{part}-labels-idx1-ubyte", np.arange(rows) % 3)
    (folder / "README.md").write_text("about")
    return folder


@pytest.fixture
def read() -> Callable[..., Table]:
    """read(source, answer=...): the table, as the command line would ask for it."""
    from snowball.collect.read import read_table

    return lambda source, **keys: read_table(DataSection(name=str(source), **keys))


@pytest.fixture
def refusal(read: Callable[..., Table]) -> Callable[..., str]:
    """refusal(source, ...): the one line that a bad source is refused with."""

    def message(source: object, **keys: object) -> str:
        with pytest.raises(BadInput) as caught:
            read(source, **keys)
        text = str(caught.value)
        assert "\n" not in text
        return text

    return message
