"""Unpack an archive, which may be hostile, into the cache: regular files only, and only inside their folder.

Names, counts and sizes are checked as they come, whatever the archive's own headers claim. A link, a device or a
name that leads outside refuses the whole archive. What is unpacked appears whole or not at all, under the digest
of the archive's content, so that the same archive is unpacked once.
"""

from __future__ import annotations

import lzma
import os
import re
import shutil
import tempfile
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from ...finding import BadInput
from ...storage import file_digest
from ..cache import cache_folder
from .progress import Progress, show_progress
from .tarball import read_tar

__all__ = ["CAPS", "Caps", "archive_stem", "extract", "is_archive"]

SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_CHUNK = 1 << 20
_YOURSELF = "unpack it yourself and give the folder"
_QUIET = 64 << 20  # archives below this size show no progress
_ZIP_ERRORS = (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError, ValueError, zlib.error, lzma.LZMAError)


@dataclass(frozen=True)
class Caps:
    """What an archive may hold at most. `ratio` is unpacked / packed size, counted once `ratio_from` bytes are out."""

    members: int = 1_000_000
    total: int = 64 << 30
    ratio: int = 200
    ratio_from: int = 1 << 30
    name: int = 1024
    depth: int = 64


CAPS = Caps()


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive.

    >>> is_archive("Flowers.TAR.GZ"), is_archive("train-images-idx3-ubyte.gz")
    (True, False)
    """
    return name.lower().endswith(SUFFIXES)


def archive_stem(name: str) -> str:
    """An archive's name without its suffix.

    >>> archive_stem("Flowers.TAR.GZ")
    'Flowers'
    """
    suffix = max((suffix for suffix in SUFFIXES if name.lower().endswith(suffix)), key=len)
    return name[: -len(suffix)]


def extract(path: Path, digest: str | None = None, caps: Caps = CAPS) -> Path:
    """The folder with what the archive holds, unpacked now or before. `digest` is its SHA-256 where it is known.

    Raises BadInput, naming the archive and the member, for whatever should not be unpacked.
    """
    folder = cache_folder("archives")
    target = folder / (digest or file_digest(path))[:32]
    if target.is_dir():
        return target
    temporary = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=folder))
    try:
        size = path.stat().st_size
        if size < _QUIET:
            _Unpacker(path, temporary, caps).run(lambda done, total: None)
        else:
            with show_progress(f"unpacking {path.name}") as progress:
                _Unpacker(path, temporary, caps).run(progress)
        os.rename(temporary, target)
    except OSError as error:
        if target.is_dir():  # another process was faster
            return target
        raise BadInput(f"{path}: could not be unpacked into {folder}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


class _Unpacker:
    """Writes members below `target`, counting members and bytes against the caps."""

    def __init__(self, path: Path, target: Path, caps: Caps) -> None:
        self._path = path
        self._target = target
        self._caps = caps
        self._packed = path.stat().st_size
        self._members = 0
        self._total = 0

    def run(self, progress: Progress) -> None:
        with self._path.open("rb") as file:
            zipped = file.read(4) in (b"PK\3\4", b"PK\5\6")
        if zipped != self._path.name.lower().endswith(".zip"):
            raise BadInput(f"{self._path}: its name and its first bytes disagree on whether it is a zip: damaged?")
        if zipped:
            self._unzip(progress)
        else:
            self._untar(progress)
        if not self._members:
            raise BadInput(f"{self._path}: the archive is empty")

    def _unzip(self, progress: Progress) -> None:
        member = ""
        try:
            with zipfile.ZipFile(self._path) as archive:
                infos = archive.infolist()
                self._check_total(sum(info.file_size for info in infos))
                packed = 0
                for info in infos:
                    member = info.filename
                    target = self._place(member)
                    self._check_zip_member(info)
                    packed += info.compress_size
                    if info.is_dir():
                        self._make_folder(member, target)
                        continue
                    with archive.open(info) as source:
                        self._write(member, target, source.read)
                    progress(packed, self._packed)
        except _ZIP_ERRORS as error:
            raise BadInput(f"{self._path}: damaged or unsupported zip archive{_at(member)} ({error})") from error

    def _check_zip_member(self, info: zipfile.ZipInfo) -> None:
        if info.flag_bits & 0x1:
            raise BadInput(f"{self._path}: member {info.filename!r} is encrypted; {_YOURSELF}")
        form = (info.external_attr >> 16) & 0o170000  # the Unix file type, 0 where the archiver was not on Unix
        if form not in (0, 0o100000, 0o040000):
            raise self._irregular(info.filename)

    def _untar(self, progress: Progress) -> None:
        for member in read_tar(self._path, self._check_total):
            target = self._place(member.name)
            if member.form == "folder":
                self._make_folder(member.name, target)
            elif member.form == "file":
                self._write(member.name, target, member.read)
            else:
                raise self._irregular(member.name)
            progress(member.packed_position, self._packed)

    def _irregular(self, name: str) -> BadInput:
        return BadInput(
            f"{self._path}: member {name!r} is a link, a device or a sparse file: only plain files are unpacked;"
            f" {_YOURSELF}"
        )

    def _place(self, name: str) -> Path:
        """Where a member goes, inside the target, or BadInput."""
        self._members += 1
        if self._members > self._caps.members:
            raise BadInput(f"{self._path}: more than {self._caps.members:,} members")
        plain = name.replace("\\", "/")
        parts = [part for part in plain.split("/") if part not in ("", ".")]
        if plain.startswith("/") or re.match("[A-Za-z]:", plain) or ".." in parts:
            raise BadInput(f"{self._path}: member {name!r} leads out of the archive's folder: nothing was unpacked")
        try:
            too_long = len(plain.encode()) > self._caps.name or any(len(part.encode()) > 255 for part in parts)
        except UnicodeEncodeError as error:
            raise BadInput(f"{self._path}: member {name!a} has a name that is not UTF-8") from error
        if too_long or len(parts) > self._caps.depth:
            raise BadInput(
                f"{self._path}: member {name[:60]!r}...: a name of {len(plain):,} characters, {len(parts)} deep"
            )
        if "\0" in plain:
            raise BadInput(f"{self._path}: member {name!r} has a NUL in its name")
        return self._target.joinpath(*parts)

    def _make_folder(self, name: str, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise BadInput(f"{self._path}: member {name!r} stands in it both as a file and as a folder") from error

    def _write(self, name: str, target: Path, read: Callable[[int], bytes]) -> None:
        self._make_folder(name, target.parent)
        try:
            file = target.open("xb")
        except (FileExistsError, IsADirectoryError) as error:
            raise BadInput(f"{self._path}: member {name!r} stands in it twice") from error
        with file:
            while chunk := read(_CHUNK):
                self._total += len(chunk)
                self._check_total(self._total)
                file.write(chunk)

    def _check_total(self, num_bytes: int) -> None:
        caps = self._caps
        if num_bytes > caps.total:
            raise BadInput(f"{self._path}: unpacks to more than {caps.total / 2**30:g} GiB")
        if num_bytes > caps.ratio_from and num_bytes > caps.ratio * self._packed:
            packed = f"{caps.ratio} times its {self._packed:,} bytes"
            raise BadInput(f"{self._path}: unpacks to more than {packed}: a decompression bomb?")


def _at(member: str) -> str:
    return f", at member {member!r}" if member else ""
