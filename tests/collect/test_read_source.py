"""From a name or a path to the right reader; names that are nothing; samples and known data sets."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from snowball.collect.cache import cache_folder
from snowball.collect.read import cifar, known, list_sources
from snowball.collect.read.download import Remote
from snowball.table import Table

Read = Callable[..., Table]
Refusal = Callable[..., str]


def test_digits_are_scikit_learns(read: Read) -> None:
    table = read("digits")
    spec = importlib.util.find_spec("sklearn")
    assert spec is not None
    assert spec.submodule_search_locations
    with gzip.open(Path(spec.submodule_search_locations[0]) / "datasets/data/digits.csv.gz", "rt") as file:
        rows = [[int(float(field)) for field in line.split(",")] for line in file]
    assert len(table) == len(rows) == 1797
    assert list(table.column("label").cells) == [str(row[-1]) for row in rows]
    for row in (0, 17, 1796):
        picture = table.column("image").cells[row]
        assert (picture.shape, picture.dtype) == ((8, 8), np.uint8)
        assert picture.ravel().tolist() == [round(value * 255 / 16) for value in rows[row][:-1]]
    assert set(table.split) == {""}


@pytest.mark.parametrize("name", ["digits", "docstrings", "pydoc", "numbers"])
def test_samples_import_nothing_heavy(name: str) -> None:
    code = (
        f"import sys; from snowball.collect.read.samples import SAMPLES; SAMPLES['{name}'][0]();"
        "heavy = ('sklearn', 'scipy', 'matplotlib', 'torch', 'pyarrow', 'datasets');"
        "sys.exit(int(any(name in sys.modules for name in heavy)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_unknown_names_say_the_nearest(refusal: Refusal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert "nearest: digits" in refusal("digts")
    assert "nearest: fashion-mnist" in refusal("Fashion_MNIST")
    assert "names a sample" in refusal("") or "name a sample" in refusal("")
    (tmp_path / "flowers").mkdir()
    assert f"nearest: {tmp_path / 'flowers'}" in refusal(tmp_path / "flower")


def test_a_folder_goes_before_a_name(
    fill: Callable[..., Path], read: Read, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert len(read("digits")) == 1797
    fill(tmp_path / "digits", "one/a.png", "two/b.png")
    assert len(read("digits")) == 2


@pytest.mark.parametrize("name", ["weights.pkl", "book.xlsx", "plain"])
def test_other_formats_are_refused_with_what_can_be_read(refusal: Refusal, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"\x80\x04.")
    message = refusal(tmp_path / name)
    assert name in message
    assert ".csv" in message


def test_what_is_not_a_file_is_refused(refusal: Refusal, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.csv")  # opening it would wait forever
    assert "neither a file nor a folder" in refusal(tmp_path / "pipe.csv")
    (tmp_path / "gone.csv").symlink_to(tmp_path / "nowhere")
    assert "neither a file nor a folder" in refusal(tmp_path / "gone.csv")


def test_named_columns_must_exist(refusal: Refusal) -> None:
    assert "no column 'lable'" in refusal("digits", answer="lable")
    assert "nearest: label" in refusal("digits", answer="lable")
    assert "no column 'patient'" in refusal("digits", group="patient")


def test_sources_are_listed() -> None:
    listed = list_sources()
    assert [name for name, _, _ in listed] == [
        *("digits", "docstrings", "pydoc", "numbers", "roads", "shapes", "crossing", "motion"),
        *("speeds", "tones", "spoken", "talking", "mnist", "fashion-mnist", "cifar10"),
    ]
    assert all(line and terms for _, line, terms in listed)
    assert listed[12][2].startswith("12 MB; ")


def test_cache_folder_is_private(cache: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert cache_folder("datasets", "x") == cache / "datasets" / "x"
    assert cache.stat().st_mode & 0o777 == 0o700
    monkeypatch.delenv("SNOWBALL_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "snowball"


@pytest.mark.parametrize(("name", "label"), [("mnist", "5"), ("fashion-mnist", "Ankle boot")])
def test_known_sets_from_a_folder(shared: Callable[[str], Path], read: Read, name: str, label: str) -> None:
    table = read(name, root=str(shared(name)))
    assert len(table) == 70_000
    assert table.column("image").cells[69_999].shape == (28, 28)
    assert (table.split[59_999], table.split[60_000]) == ("", "test")
    assert table.column("label").cells[0] == label
    assert len(set(table.column("label").cells)) == 10
    assert table.defaults == known.DEFAULTS[name]
    assert table.where(60_001) == "t10k-images-idx3-ubyte.gz, picture 1"


def test_known_sums_are_those_of_the_shared_files(shared: Callable[[str], Path]) -> None:
    for name in ("mnist", "fashion-mnist"):
        text = (shared(name) / "README.md").read_text()
        for remote in known.KNOWN[name].files:
            line = next(line for line in text.splitlines() if line.endswith(remote.name) and len(line.split()) == 3)
            assert line.split() == [remote.sha256, str(remote.size), remote.name]


def test_known_files_of_a_folder_are_verified(shared: Callable[[str], Path], refusal: Refusal, tmp_path: Path) -> None:
    for file in (shared("mnist")).glob("t*.gz"):
        (tmp_path / file.name).symlink_to(file)
    bad = tmp_path / "t10k-labels-idx1-ubyte.gz"
    data = bytearray(bad.read_bytes())
    data[100] ^= 1
    bad.unlink()
    bad.write_bytes(data)
    message = refusal("mnist", root=str(tmp_path))
    assert "SHA-256" in message
    assert "t10k-labels-idx1-ubyte.gz" in message
    bad.write_bytes(bytes(data[:-1]))
    assert "4,541 bytes" in refusal("mnist", root=str(tmp_path))
    bad.unlink()
    assert "needs t10k-labels-idx1-ubyte.gz" in refusal("mnist", root=str(tmp_path))
    assert "no such folder" in refusal("mnist", root=str(tmp_path / "no"))


def _cifar_folder(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "batches.meta.txt").write_text("\n".join(f"name{n}" for n in range(10)) + "\n\n")
    for number, file in enumerate(cifar.CIFAR_FILES):
        records = np.zeros((2, cifar.RECORD), np.uint8)
        records[:, 0] = number, 9
        records[:, 1 : 1 + 1024] = 10 * number  # red
        records[1, 1 + 2 * 1024 + 1 * 32 + 3] = 200  # blue, row 1, column 3
        records.tofile(folder / file)
    return folder


def test_cifar_binary(tmp_path: Path, read: Read, refusal: Refusal) -> None:
    folder = _cifar_folder(tmp_path / "root" / "cifar-10-batches-bin")
    for table in (read("cifar10", root=str(tmp_path / "root")), read(folder)):
        assert len(table) == 12
        assert list(table.split) == [""] * 10 + ["test"] * 2
        assert list(table.column("label").cells[:4]) == ["name0", "name9", "name1", "name9"]
        picture = table.column("image").cells[3]
        assert picture.shape == (32, 32, 3)
        assert picture[1, 3].tolist() == [10, 0, 200]
        assert picture[3, 1].tolist() == [10, 0, 0]
        assert table.where(11) == "test_batch.bin, picture 1"
    with (folder / "data_batch_2.bin").open("ab") as file:
        file.write(b"x")
    assert "data_batch_2.bin" in refusal(folder)
    os.truncate(folder / "data_batch_2.bin", cifar.RECORD)
    with (folder / "data_batch_2.bin").open("rb+") as file:
        file.write(b"\x0a")
    assert "label 10" in refusal(folder)
    (folder / "data_batch_2.bin").unlink()
    assert "data_batch_2.bin missing" in refusal(folder)


def test_cifar_archive_is_unpacked_from_the_folder(tmp_path: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    import tarfile

    folder = _cifar_folder(tmp_path / "made" / "cifar-10-batches-bin")
    root = tmp_path / "root"
    root.mkdir()
    packed = root / "cifar-10-binary.tar.gz"
    with tarfile.open(packed, "w:gz") as archive:
        archive.add(folder, "cifar-10-batches-bin")
    remote = Remote(packed.name, (), packed.stat().st_size, hashlib.sha256(packed.read_bytes()).hexdigest())
    monkeypatch.setattr(known, "_CIFAR", remote)
    monkeypatch.setitem(known.KNOWN, "cifar10", replace(known.KNOWN["cifar10"], files=(remote,)))
    table = read("cifar10", root=str(root))
    assert len(table) == 12
    assert table.defaults == {"augment.flip": 0.5, "augment.shift": 0.125}
