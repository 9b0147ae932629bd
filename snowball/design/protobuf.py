"""The binary form of protocol buffers: the fields of messages in a file, one after another.

Every length is checked against what is there before anything is made of it, and contents stay where they are in the
file until they are asked for.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from ..finding import BadInput

__all__ = ["BYTES", "EIGHT_BYTES", "FOUR_BYTES", "VARINT", "Field", "Reader", "open_reader", "signed"]

VARINT, EIGHT_BYTES, BYTES, FOUR_BYTES = 0, 1, 2, 5
MAX_FIELDS = 300_000  # of a file; the largest published network has 5,000, and each takes 2 microseconds
MAX_NAME = 1000  # bytes


class Field(NamedTuple):
    """One field: its content lies from `start` to `end` in the file."""

    number: int
    wire_type: int
    start: int
    end: int
    value: int
    """Of a VARINT."""


class Reader:
    """The fields of one message in a file, one after another; `kind` says what it should be, for errors."""

    def __init__(self, source: str, data: bytes | mmap.mmap, kind: str) -> None:
        self.source = source
        self.data = data
        self._kind = kind
        self._fields = 0

    def fields(self, start: int, end: int) -> Iterator[Field]:
        """The fields of a message that lies from `start` to `end`."""
        position = start
        while position < end:
            self._count(position)
            tag, position = self.varint(position, end)
            number, wire_type = tag >> 3, tag & 7
            if number == 0 or number >= 2**29:
                raise self.wrong(position, f"a field of number {number}")
            value, begun = 0, position
            if wire_type == VARINT:
                value, position = self.varint(position, end)
            elif wire_type == EIGHT_BYTES:
                position += 8
            elif wire_type == FOUR_BYTES:
                position += 4
            elif wire_type == BYTES:
                length, begun = self.varint(position, end)
                position = begun + length
            else:
                raise self.wrong(position, f"a field of wire type {wire_type}")
            if position > end:
                raise self.wrong(begun, f"a field claims {position - begun:,} bytes where {end - begun:,} are left")
            yield Field(number, wire_type, begun, position, value)

    def _count(self, position: int) -> None:
        self._fields += 1
        if self._fields > MAX_FIELDS:
            raise self.wrong(position, f"more than {MAX_FIELDS:,} fields")

    def integers(self, field: Field, what: str) -> Iterator[int]:
        """The whole numbers of a repeated field, packed or one a field, negative ones as such."""
        if field.wire_type == VARINT:
            yield signed(field.value)
            return
        position, last = self.inner(field, what)
        while position < last:
            self._count(position)
            value, position = self.varint(position, last)
            yield signed(value)

    def varint(self, position: int, end: int) -> tuple[int, int]:
        value = shift = 0
        while position < end and shift < 70:
            byte = self.data[position]
            position += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value & (2**64 - 1), position
            shift += 7
        raise self.wrong(position, "a number that does not end")

    def wrong(self, position: int, what: str) -> BadInput:
        return BadInput(f"{self.source}: not {self._kind}, or damaged: byte {position:,}: {what}")

    def inner(self, field: Field, what: str) -> tuple[int, int]:
        if field.wire_type != BYTES:
            raise self.wrong(field.start, f"{what} is of wire type {field.wire_type}")
        return field.start, field.end

    def text(self, field: Field) -> str:
        start, end = self.inner(field, "a name")
        if end - start > MAX_NAME:
            raise self.wrong(start, f"a name of {end - start:,} bytes")
        return bytes(self.data[start:end]).decode("utf-8", errors="replace")


def open_reader(path: Path, kind: str) -> Reader:
    """A file of less than 2 GiB, mapped into memory. Raises BadInput."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            if size >= 2**31:
                raise BadInput(f"{path}: {size:,} bytes: a protocol buffer holds less than 2,147,483,648")
            if not size:
                raise BadInput(f"{path}: zero bytes")
            return Reader(str(path), mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), kind)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from error


def signed(value: int) -> int:
    """A 64 bit number as protocol buffers store negative ones."""
    return value - 2**64 if value >= 2**63 else value
