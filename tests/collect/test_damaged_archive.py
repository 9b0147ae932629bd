"""Archives that are cut, damaged, or made to fill the memory of whoever reads them."""

from __future__ import annotations

import gzip
import io
import os
import tarfile
import zipfile
from pathlib import Path

import pytest

from snowball.collect.read import tarball
from snowball.collect.read.archive import Caps, extract
from snowball.finding import BadInput


def _zip(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def _tar(path: Path, *members: tuple[str, bytes] | tarfile.TarInfo, mode: str = "w") -> Path:
    with tarfile.open(path, mode) as archive:
        for member in members:
            if isinstance(member, tarfile.TarInfo):
                archive.addfile(member)
                continue
            info = tarfile.TarInfo(member[0])
            info.size = len(member[1])
            archive.addfile(info, io.BytesIO(member[1]))
    return path


def _refused(path: Path, caps: Caps | None = None) -> str:
    """The reason an archive is refused; nothing of it may be left in the cache."""
    with pytest.raises(BadInput) as caught:
        extract(path, caps=caps or Caps())
    message = str(caught.value)
    assert path.name in message
    assert "\n" not in message
    assert os.listdir(Path(os.environ["SNOWBALL_CACHE"]) / "archives") == []
    return message


def test_huge_tar_headers_are_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.pax_headers = {"comment": "y" * (5 << 20)}
    path = tmp_path / "a.tgz"
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert path.stat().st_size < 20_000
    assert "a header asks for" in _refused(path)
    info.pax_headers = {"comment": "y" * (tarball.MAX_READ - 2000)}
    chain = b"".join(_pax_block(info) for _ in range(3))
    path.write_bytes(gzip.compress(chain))
    assert "the headers of one member are longer" in _refused(path)


def test_what_is_not_written_counts_too(tmp_path: Path) -> None:
    """Zeros behind the end mark are decompressed for the checksum: they count against the caps like content."""
    path = _tar(tmp_path / "a.tar", ("x", b"abc")).rename(tmp_path / "a.tgz")
    path.write_bytes(gzip.compress(path.read_bytes() + bytes(4 << 20)))
    assert "a decompression bomb?" in _refused(path, Caps(ratio_from=1 << 20, ratio=100))


def test_sparse_members_are_refused(tmp_path: Path) -> None:
    """A sparse file of a few bytes reads as gigabytes of zeros."""
    info = tarfile.TarInfo("holes")
    info.pax_headers = {"GNU.sparse.map": "0,1", "GNU.sparse.size": str(8 << 30), "GNU.sparse.numblocks": "1"}
    path = tmp_path / "a.tar"
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as archive:
        archive.addfile(info)
    assert "'holes' is a link, a device or a sparse file" in _refused(path)


def _pax_block(info: tarfile.TarInfo) -> bytes:
    buffer = info.tobuf(tarfile.PAX_FORMAT)
    return buffer[: -tarfile.BLOCKSIZE]  # without the header of the file itself


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz", "zip"])
def test_truncated_archives_are_refused(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    members = {f"f{n}": os.urandom(700) for n in range(9)}
    if suffix == "zip":
        _zip(path, members)
    else:
        _tar(path, *members.items(), mode=f"w:{suffix[4:]}")
    whole = path.read_bytes()
    for keep in (0, 1, len(whole) // 3, len(whole) // 2):
        path.write_bytes(whole[:keep])
        _refused(path)
    if suffix == "tar":
        path.write_bytes(whole[: 3 * 1536])  # right between two members
        assert "its end mark is missing" in _refused(path)
        path.write_bytes(whole[: 3 * 1536] + b"garbage!" * 64 + whole[3 * 1536 + 512 :])
        assert "its end mark is missing" in _refused(path)


def test_checksums_are_verified(tmp_path: Path) -> None:
    path = _tar(tmp_path / "a.tar.gz", ("x", b"abc"), mode="w:gz")
    data = bytearray(path.read_bytes())
    data[-6] ^= 1
    path.write_bytes(data)
    assert "a.tar.gz" in _refused(path)
    path = _zip(tmp_path / "a.zip", {"x": b"abc" * 10})
    data = bytearray(path.read_bytes())
    for mark, offset in ((b"PK\x03\x04", 14), (b"PK\x01\x02", 16)):
        data[data.index(mark) + offset] ^= 1
    path.write_bytes(data)
    assert "Bad CRC-32" in _refused(path)
