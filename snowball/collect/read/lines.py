"""Lines of a text file, checked: UTF-8, no NUL, of bounded length."""

from __future__ import annotations

import codecs
from collections.abc import Iterator
from pathlib import Path

from ...finding import BadInput

__all__ = ["MAX_LINE", "text_lines"]

MAX_LINE = 16 << 20  # bytes


def text_lines(path: Path) -> Iterator[str]:
    """The lines of a UTF-8 file with their line ends; a byte order mark is dropped.

    Raises BadInput, naming the row as an editor counts it, for a line that is not text.
    """
    with path.open("rb") as file:
        row = 0
        while line := file.readline(MAX_LINE + 1):
            row += 1
            if row == 1:
                line = _without_mark(path, line)
            if len(line) > MAX_LINE:
                raise BadInput(f"{path}, row {row}: longer than {MAX_LINE >> 20} MiB: not a file of lines")
            if b"\0" in line:
                raise BadInput(f"{path}, row {row}: a NUL byte: not a text file, or not UTF-8")
            try:
                yield line.decode("utf-8")
            except UnicodeDecodeError as error:
                found = f"byte 0x{line[error.start]:02x} at byte {error.start + 1} of the line"
                raise BadInput(f"{path}, row {row}: {found} is not UTF-8; save the file as UTF-8") from error


def _without_mark(path: Path, line: bytes) -> bytes:
    if line.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(f"{path}: UTF-16 text; save the file as UTF-8")
    return line.removeprefix(codecs.BOM_UTF8)
