"""The binary form of protocol buffers, as far as Caffe's weights need it: layers by name with their blobs, and means.

Field numbers are those of Caffe's published messages. Every length is checked against what is there before anything is
made of it, and numbers stay where they are in the file until they are asked for.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import islice
from math import prod
from pathlib import Path

import numpy as np

from ...finding import BadInput, shown_shape
from ..protobuf import EIGHT_BYTES, FOUR_BYTES, Reader, open_reader, signed

__all__ = ["MAX_NUMBERS", "Blob", "read_blob", "read_weights"]

MAX_NUMBERS = 2**29  # of a blob: what protocol buffers can hold at all, 2 GiB of float32
MAX_LAYERS = 10_000
KIND = "Caffe's weights"
MAX_BLOBS = 1_000  # of a layer
MAX_DIMENSIONS = 32  # as in Caffe

# Message -> field number: what it is to us.
NET = {1: "name", 2: "layers", 100: "layer"}
LAYER = {1: "name", 7: "blobs"}
LAYER_V1 = {4: "name", 6: "blobs", 1: "layer"}
LAYER_V0 = {1: "name", 50: "blobs"}
BLOB = {1: "num", 2: "channels", 3: "height", 4: "width", 5: "data", 7: "shape", 8: "double_data"}
SHAPE = {1: "dim"}


@dataclass(frozen=True)
class Blob:
    """Numbers with a shape; of four dimensions with leading ones in old files, whatever they are (`legacy`)."""

    shape: tuple[int, ...]
    numbers: np.ndarray
    legacy: bool

    def array(self) -> np.ndarray:
        """float32 of that shape, a copy."""
        return np.array(self.numbers, dtype=np.float32).reshape(self.shape)


def read_weights(path: Path) -> dict[str, list[Blob]]:
    """Layer name -> its blobs, of a .caffemodel in any of Caffe's three generations. Layers without blobs are left out.

    Raises BadInput for what is truncated, altered or not that.
    """
    reader = open_reader(path, KIND)
    found: dict[str, list[Blob]] = {}
    layers = 0
    for field in reader.fields(0, len(reader.data)):
        kind = NET.get(field.number)
        if kind not in ("layer", "layers"):
            continue
        layers += 1
        if layers > MAX_LAYERS:
            raise BadInput(f"{path}: more than {MAX_LAYERS:,} layers")
        span = reader.inner(field, "a layer")
        name, blobs = _layer(reader, *span, LAYER if kind == "layer" else LAYER_V1)
        if blobs and name in found:
            raise BadInput(f"{path}: two layers with weights are called {name!r}")
        if blobs:
            found[name] = blobs
    if not layers:
        raise BadInput(f"{path}: holds no layers: not Caffe's weights")
    return found


def _layer(reader: Reader, start: int, end: int, known: dict[int, str]) -> tuple[str, list[Blob]]:
    name = ""
    blobs: list[Blob] = []
    for field in reader.fields(start, end):
        kind = known.get(field.number)
        if kind == "name":
            name = reader.text(field)
        elif kind == "blobs":
            if len(blobs) >= MAX_BLOBS:
                raise reader.wrong(field.start, f"layer {name!r} has more than {MAX_BLOBS} blobs")
            blobs.append(_blob(reader, *reader.inner(field, "a blob")))
        elif kind == "layer":  # a layer of the first generation, inside one of the second
            inner_name, inner_blobs = _layer(reader, *reader.inner(field, "a layer"), LAYER_V0)
            name, blobs = inner_name or name, blobs + inner_blobs
    return name, blobs


def read_blob(path: Path) -> Blob:
    """The one blob of a .binaryproto, such as a mean picture."""
    reader = open_reader(path, KIND)
    return _blob(reader, 0, len(reader.data))


def _blob(reader: Reader, start: int, end: int) -> Blob:
    legacy = {"num": 1, "channels": 1, "height": 1, "width": 1}
    said: list[int] | None = None
    parts: list[np.ndarray] = []
    singles: list[float] = []
    is_legacy = False
    for field in reader.fields(start, end):
        kind = BLOB.get(field.number)
        if kind in legacy:
            legacy[kind] = signed(field.value)
            is_legacy = True
        elif kind == "shape":
            said = _dimensions(reader, *reader.inner(field, "a shape"))
        elif kind in ("data", "double_data"):
            single = FOUR_BYTES if kind == "data" else EIGHT_BYTES
            if field.wire_type == single:  # not packed: one number a field
                singles.append(struct.unpack_from("<f" if single == FOUR_BYTES else "<d", reader.data, field.start)[0])
                continue
            first, last = reader.inner(field, "numbers")
            width = 4 if kind == "data" else 8
            if (last - first) % width:
                raise reader.wrong(first, f"{last - first:,} bytes are not whole numbers of {width}")
            parts.append(np.frombuffer(reader.data, f"<f{width}", (last - first) // width, first))
    if singles:
        parts.append(np.array(singles))
    shape = tuple(said) if said is not None else tuple(legacy.values())
    numbers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if said is None and not is_legacy:
        shape = (len(numbers),)
    if any(size < 0 for size in shape) or prod(shape) > MAX_NUMBERS:
        raise reader.wrong(start, f"a blob of shape {shown_shape(shape)}")
    if prod(shape) != len(numbers):
        raise reader.wrong(start, f"a blob of shape {shown_shape(shape)} holds {len(numbers):,} numbers")
    return Blob(shape, numbers, said is None)


def _dimensions(reader: Reader, start: int, end: int) -> list[int]:
    found: list[int] = []
    for field in reader.fields(start, end):
        if SHAPE.get(field.number) == "dim":
            found += islice(reader.integers(field, "a shape"), MAX_DIMENSIONS + 1)
        if len(found) > MAX_DIMENSIONS:
            raise reader.wrong(start, f"a blob of more than {MAX_DIMENSIONS} dimensions")
    return found
