"""A text file, decoded whole: UTF-8, or else Windows-1252 with a finding. Damage in the text is found and told."""

from __future__ import annotations

import codecs
import gzip
import re
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...finding import BadInput, Finding
from .gunzip import is_gzip_name, read_bounded
from .lines import MAX_LINE

__all__ = ["MAX_TEXT", "TextFile", "encoding_findings", "is_binary", "read_text_file", "read_text_files"]

MAX_TEXT = 1 << 30  # bytes of text in one table; all of it is held in memory
_HEAD = 1 << 16
_SHOWN = 20  # files in a finding's evidence

# Windows-1252 is Latin-1 with letters and quotes where Latin-1 has control characters. Five bytes it leaves undefined
# stay control characters, so that every byte can be decoded.
_HIGH = {byte: bytes([byte]).decode("cp1252", "ignore") or chr(byte) for byte in range(0x80, 0xA0)}
_CONTINUED = "".join(_HIGH.get(byte, chr(byte)) for byte in range(0x80, 0xC0))
# UTF-8 bytes that somebody decoded as Windows-1252: a letter of two bytes, or punctuation of three, such as a quote.
_MOJIBAKE = re.compile(f"[\u00c2\u00c3][{re.escape(_CONTINUED)}]|\u00e2[{re.escape(_CONTINUED)}]{{2}}")
_CONTROLS = bytes(set(range(32)) - set(b"\t\n\v\f\r\x1b")) + b"\x7f"


@dataclass(frozen=True)
class _Fallback:
    """A file that is not UTF-8: the first line that is not, its first such byte, and how many such lines there are."""

    line: int
    byte: int
    lines: int


@dataclass(frozen=True)
class TextFile:
    """A file's whole text, without a byte order mark; line ends are as in the file."""

    path: Path
    text: str
    fallback: _Fallback | None = None

    def lines(self) -> list[str]:
        r"""The lines, without their ends `\n` or `\r\n`; other characters that end lines somewhere stay in the text.

        >>> TextFile(Path("a"), "one\r\n\x85two\n\nthree").lines()
        ['one', '\x85two', '', 'three']
        """
        lines = self.text.split("\n")
        if not lines[-1]:
            lines.pop()
        return [line.removesuffix("\r") for line in lines] if "\r" in self.text else lines

    def check_lines(self) -> None:
        """Raise BadInput where a line is too long for a file of lines."""
        for number, line in enumerate(self.lines(), 1):
            if len(line) > MAX_LINE:
                raise BadInput(f"{self.path}, line {number}: longer than {MAX_LINE >> 20} MiB: not a file of lines")


def is_binary(path: Path) -> bool:
    """Whether a file begins unlike text: a twentieth of its first bytes are control characters. UTF-16 is text."""
    try:
        with gzip.open(path) if is_gzip_name(path.name) else path.open("rb") as file:
            head = file.read(_HEAD)
    except (EOFError, gzip.BadGzipFile, zlib.error):
        return False  # whoever reads it says what is wrong
    if head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return False
    return 20 * (len(head) - len(head.translate(None, _CONTROLS))) > len(head)


def read_text_files(paths: Iterable[Path]) -> list[TextFile]:
    """Several files, which together have at most MAX_TEXT bytes."""
    left = MAX_TEXT
    files: list[TextFile] = []
    for path in paths:
        data = read_bounded(path, left, MAX_TEXT)
        left -= len(data)
        files.append(_decode(path, data))
    return files


def read_text_file(path: Path) -> TextFile:
    """The text of a file of at most MAX_TEXT bytes, unpacked where its name ends in .gz.

    Raises BadInput for UTF-16, for a NUL byte, and for a .gz file that is damaged. What is not UTF-8 is read as
    Windows-1252, in which every byte is a character: nothing is lost, and `encoding_findings` tells.
    """
    (file,) = read_text_files([path])
    return file


def _decode(path: Path, data: bytes) -> TextFile:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        raise BadInput(f"{path}: UTF-16 text; save the file as UTF-8")
    data = data.removeprefix(codecs.BOM_UTF8)
    if (nul := data.find(b"\0")) >= 0:
        line = data.count(b"\n", 0, nul) + 1
        raise BadInput(f"{path}, line {line}: a NUL byte: not a text file, or not UTF-8")
    try:
        return TextFile(path, data.decode("utf-8"))
    except UnicodeDecodeError as error:
        first = error.start
    lines = sum(not _is_utf8(line) for line in data.split(b"\n"))
    fallback = _Fallback(data.count(b"\n", 0, first) + 1, data[first], lines)
    return TextFile(path, data.decode("latin-1").translate(_HIGH), fallback)


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def encoding_findings(files: Sequence[TextFile]) -> list[Finding]:
    """`encoding` warnings: files that are not UTF-8, and text that was damaged before it came here."""
    findings: list[Finding] = []
    if foreign := [(file, file.fallback) for file in files if file.fallback]:
        shown = [
            {"file": file.path.name, "line": found.line, "byte": f"0x{found.byte:02x}", "lines": found.lines}
            for file, found in foreign
        ]
        file, found = foreign[0]
        lines = sum(found.lines for _, found in foreign)
        message = (
            f"{file.path.name}, line {found.line}: byte 0x{found.byte:02x} is not UTF-8{_more(len(foreign))};"
            f" read as Windows-1252 instead, which changes {_count(lines, 'line')}"
        )
        evidence = {"files": shown[:_SHOWN], "count": len(foreign), "lines": lines}
        findings.append(Finding("encoding", "warning", message, evidence, "save as UTF-8"))
    if damaged := [damage for damage in map(_damage, files) if damage]:
        first = damaged[0]
        total = sum(int(damage["count"]) for damage in damaged)
        message = (
            f"{first['file']}, line {first['line']}: {first['found']!r}: {_count(total, 'place')} where letters were"
            f" lost or decoded wrongly before{_more(len(damaged))}"
        )
        evidence = {"files": damaged[:_SHOWN], "count": total}
        findings.append(Finding("encoding", "warning", message, evidence, "take the text from its source again"))
    return findings


def _damage(file: TextFile) -> dict[str, str | int] | None:
    """Replacement characters, and UTF-8 decoded as Windows-1252: the first place, and how many there are."""
    marks = file.text.count("\ufffd")
    places = [file.text.index("\ufffd")] if marks else []
    count = marks
    if not file.text.isascii():
        for match in _MOJIBAKE.finditer(file.text):
            places.append(match.start())
            count += 1
    if not count:
        return None
    first = min(places)
    line = file.text.count("\n", 0, first) + 1
    return {"file": file.path.name, "line": line, "found": file.text[first : first + 3], "count": count}


def _count(number: int, noun: str) -> str:
    """1 line, 2 lines."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _more(number: int) -> str:
    return f" ({number - 1:,} more files likewise)" if number > 1 else ""
