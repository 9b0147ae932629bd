"""Read a tar archive from front to back, with everything it makes Python read or hold bounded.

The standard library's reader takes header sizes at their word and stops without a word at a damaged header; here a
read beyond MAX_READ is refused, every decompressed byte is reported to a meter, and the end mark has to be there.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import tarfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Literal

from ...finding import BadInput

__all__ = ["TarMember", "read_tar"]

MAX_READ = 4 << 20  # bytes; longer names and extended headers are refused
_OPENERS: tuple[tuple[bytes, Callable[[Any], Any]], ...] = (
    (b"\x1f\x8b", gzip.open),
    (b"BZh", bz2.open),
    (b"\xfd7zXZ\0", lzma.open),
)


@dataclass(frozen=True)
class TarMember:
    """A member while it is its turn. `read(n)` gives its next bytes; `packed_position`: bytes of the archive read."""

    name: str
    form: Literal["file", "folder", "other"]
    read: Callable[[int], bytes]
    packed_position: int


def read_tar(path: Path, meter: Callable[[int], None]) -> Iterator[TarMember]:
    """Every member in turn; each must be read before the next is asked for, or its bytes are skipped.

    `meter(n)` is told how many bytes are decompressed so far, and raises when that is too much.
    Raises BadInput for what is not a whole tar archive.
    """
    with path.open("rb") as raw, _reporting(path):
        stream = _Metered(_open(raw), meter)
        with tarfile.open(fileobj=stream, mode="r:") as archive:  # type: ignore[call-overload]  # reads are all it takes
            while (info := archive.next()) is not None:
                stream.header_bytes = None
                yield TarMember(info.name, _form(info), _reader(path, archive, info), raw.tell())
                stream.header_bytes = 0
                archive.members = []  # else the archive keeps every header in memory
            if stream.last.strip(b"\0") or len(stream.last) < tarfile.BLOCKSIZE:
                raise tarfile.ReadError("its end mark is missing: truncated, or a damaged header")
            stream.header_bytes = None
            while stream.read(1 << 20):  # to the end, where the checksum of the compressed stream is
                pass


@contextmanager
def _reporting(path: Path) -> Iterator[None]:
    try:
        yield
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise BadInput(f"{path}: not a whole tar archive ({error})") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise BadInput(f"{path}: damaged archive ({error})") from error  # as gzip and bz2 say it


def _open(raw: IO[bytes]) -> Any:
    head = raw.read(8)
    raw.seek(0)
    opener = next((opener for magic, opener in _OPENERS if head.startswith(magic)), None)
    return opener(raw) if opener else raw


def _form(info: tarfile.TarInfo) -> Literal["file", "folder", "other"]:
    if info.isdir():
        return "folder"
    return "file" if info.isreg() and not info.issparse() else "other"


def _reader(path: Path, archive: tarfile.TarFile, info: tarfile.TarInfo) -> Callable[[int], bytes]:
    source = archive.extractfile(info) if _form(info) == "file" else None

    def read(size: int) -> bytes:
        with _reporting(path):
            return source.read(size) if source else b""

    return read


class _Metered:
    """A file that is only read forwards, in bounded pieces, and tells a meter how far it is.

    `header_bytes` counts what the headers of one member make Python hold; it is None while content is read.
    """

    def __init__(self, file: Any, meter: Callable[[int], None]) -> None:
        self._file = file
        self._meter = meter
        self._position = 0
        self.header_bytes: int | None = 0
        self.last = b""

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        if not 0 <= size <= MAX_READ:
            raise tarfile.ReadError(f"a header asks for {size:,} bytes at once")
        self.last = self._take(size)
        if self.header_bytes is not None:
            self.header_bytes += len(self.last)
            if self.header_bytes > MAX_READ:
                raise tarfile.ReadError(f"the headers of one member are longer than {MAX_READ:,} bytes")
        return self.last

    def _take(self, size: int) -> bytes:
        data: bytes = self._file.read(size)
        self._position += len(data)
        self._meter(self._position)
        return data

    def seek(self, position: int) -> int:
        if position < self._position:
            raise tarfile.ReadError("a header points backwards")
        while self._position < position:
            if not self._take(min(MAX_READ, position - self._position)):
                raise tarfile.ReadError("unexpected end of data")
        return self._position
