"""An ONNX file: its nodes, tensors, inputs and outputs, as they stand there (onnx.proto3, IR versions 3 and later).

Tensors stay in the file until they are asked for. What lies outside of it (external data), graphs inside of nodes, and
functions of its own are refused: nothing is followed, and nothing nests.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from ...finding import BadInput, shown_shape
from ..protobuf import BYTES, EIGHT_BYTES, FOUR_BYTES, VARINT, Field, Reader, open_reader, signed

__all__ = ["FLOATS", "OnnxFile", "RawNode", "StoredTensor", "read_onnx_file"]

KIND = "an ONNX file"
MAX_NODES = 10_000
MAX_NUMBERS = 2**29  # of a tensor: what protocol buffers can hold at all, 2 GiB of float32
MAX_DIMENSIONS = 16
MAX_TENSORS = 20_000

# Field numbers of the messages.
MODEL = {1: "ir_version", 2: "producer", 7: "graph", 8: "opset", 14: "metadata", 25: "function"}
GRAPH = {1: "node", 2: "name", 5: "initializer", 11: "input", 12: "output", 15: "sparse"}
NODE = {1: "input", 2: "output", 3: "name", 4: "op", 5: "attribute", 7: "domain"}
ATTRIBUTE = {1: "name", 2: "f", 3: "i", 4: "s", 5: "t", 6: "g", 7: "floats", 8: "ints", 9: "strings", 20: "type"}
ATTRIBUTE |= {10: "tensors", 11: "graphs", 14: "type_proto", 21: "reference", 22: "sparse"}
TENSOR = {1: "dims", 2: "type", 4: "floats", 5: "int32s", 6: "strings", 7: "int64s", 8: "name", 9: "raw"}
TENSOR |= {10: "doubles", 11: "uint64s", 13: "external", 14: "location", 3: "segment"}
ATTRIBUTE_TYPES = {1: "f", 2: "i", 3: "s", 4: "t", 6: "floats", 7: "ints", 8: "strings"}
# TensorProto.DataType -> what its bytes are; bfloat16 is the upper half of a float32.
TYPES = {1: "<f4", 2: "<u1", 3: "<i1", 4: "<u2", 5: "<i2", 6: "<i4", 7: "<i8", 9: "?", 10: "<f2", 11: "<f8"}
TYPES |= {12: "<u4", 13: "<u8", 16: "<u2"}
FLOATS = frozenset((1, 10, 11, 16))
BFLOAT16 = 16


@dataclass(frozen=True)
class StoredTensor:
    """A tensor in the file: `type` is a number of TensorProto.DataType."""

    name: str
    shape: tuple[int, ...]
    type: int
    numbers: np.ndarray

    def array(self) -> np.ndarray:
        """float32, int64 or bool of that shape, a copy."""
        kind = np.float32 if self.type in FLOATS else np.bool_ if self.type == 9 else np.int64
        numbers = self.numbers
        if self.type == BFLOAT16:
            numbers = (numbers.astype(np.uint32) << 16).view(np.float32)
        return np.array(numbers, dtype=kind).reshape(self.shape)


@dataclass(frozen=True)
class RawNode:
    """A node as it stands in the file."""

    op: str
    name: str
    domain: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any]


@dataclass
class OnnxFile:
    """What a file holds. Shapes of inputs have None where a side is not a number."""

    source: str
    name: str = ""
    opset: int = 0
    nodes: list[RawNode] = field(default_factory=list)
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    inputs: dict[str, tuple[int, tuple[int | None, ...] | None]] = field(default_factory=dict)
    """name -> type of its numbers and shape; no shape where the file says none."""
    outputs: list[str] = field(default_factory=list)
    metadata: dict[str, tuple[int, int]] = field(default_factory=dict)
    """key -> where its value lies in the file; see `said`."""
    reader: Reader | None = None

    def said(self, key: str) -> str | None:
        """A value of the file's metadata; None where there is none."""
        if key not in self.metadata or self.reader is None:
            return None
        start, end = self.metadata[key]
        return bytes(self.reader.data[start:end]).decode("utf-8", errors="replace")


def read_onnx_file(path: Path) -> OnnxFile:
    """Read a file's structure. Raises BadInput for what is truncated, altered or not ONNX."""
    reader = open_reader(path, KIND)
    found = OnnxFile(path.name, reader=reader)
    graphs = 0
    for part in reader.fields(0, len(reader.data)):
        kind = MODEL.get(part.number)
        if kind == "graph":
            graphs += 1
            if graphs > 1:
                raise reader.wrong(part.start, "a second graph")
            _graph(reader, found, *reader.inner(part, "a graph"))
        elif kind == "opset":
            domain, version = _opset(reader, *reader.inner(part, "an opset"))
            if domain in ("", "ai.onnx"):
                found.opset = version
        elif kind == "metadata":
            key, place = _metadata(reader, *reader.inner(part, "metadata"))
            found.metadata[key] = place
        elif kind == "function":
            raise BadInput(f"{path}: holds functions of its own: write them out first (onnx.inliner)")
    if not graphs:
        raise BadInput(f"{path}: holds no graph: not {KIND}")
    return found


def _opset(reader: Reader, start: int, end: int) -> tuple[str, int]:
    domain, version = "", 0
    for part in reader.fields(start, end):
        if part.number == 1:
            domain = reader.text(part)
        elif part.number == 2 and part.wire_type == VARINT:
            version = signed(part.value)
    return domain, version


def _metadata(reader: Reader, start: int, end: int) -> tuple[str, tuple[int, int]]:
    key, place = "", (start, start)
    for part in reader.fields(start, end):
        if part.number == 1:
            key = reader.text(part)
        elif part.number == 2:
            place = reader.inner(part, "metadata")
    return key, place


def _graph(reader: Reader, found: OnnxFile, start: int, end: int) -> None:
    for part in reader.fields(start, end):
        kind = GRAPH.get(part.number)
        if kind == "name":
            found.name = reader.text(part)
        elif kind == "node":
            if len(found.nodes) >= MAX_NODES:
                raise reader.wrong(part.start, f"more than {MAX_NODES:,} nodes")
            found.nodes.append(_node(reader, *reader.inner(part, "a node")))
        elif kind == "initializer":
            tensor = _tensor(reader, *reader.inner(part, "a tensor"))
            if tensor.name in found.tensors or not tensor.name:
                raise reader.wrong(part.start, f"two initializers are called {tensor.name!r}")
            if len(found.tensors) >= MAX_TENSORS:
                raise reader.wrong(part.start, f"more than {MAX_TENSORS:,} initializers")
            found.tensors[tensor.name] = tensor
        elif kind == "input":
            name, type_, shape = _value(reader, *reader.inner(part, "an input"))
            if name in found.inputs:
                raise reader.wrong(part.start, f"two inputs are called {name!r}")
            found.inputs[name] = type_, shape
        elif kind == "output":
            found.outputs.append(_value(reader, *reader.inner(part, "an output"))[0])
        elif kind == "sparse":
            raise reader.wrong(part.start, "sparse tensors are not read")


def _node(reader: Reader, start: int, end: int) -> RawNode:
    texts: dict[str, list[str]] = {"input": [], "output": [], "name": [], "op": [], "domain": []}
    attributes: dict[str, Any] = {}
    for part in reader.fields(start, end):
        kind = NODE.get(part.number)
        if kind == "attribute":
            name, value = _attribute(reader, *reader.inner(part, "an attribute"))
            attributes[name] = value
        elif kind is not None:
            texts[kind].append(reader.text(part))
    op, name, domain = ((texts[kind] or [""])[-1] for kind in ("op", "name", "domain"))
    return RawNode(op, name, domain, tuple(texts["input"]), tuple(texts["output"]), attributes)


def _attribute(reader: Reader, start: int, end: int) -> tuple[str, Any]:
    """Name and value: a number, a text, a tensor, or a list of numbers or texts."""
    name, said = "", 0
    values: dict[str, Any] = {}
    for part in reader.fields(start, end):
        kind = ATTRIBUTE.get(part.number)
        if kind == "name":
            name = reader.text(part)
        elif kind == "type":
            said = part.value
        elif kind == "i":
            values["i"] = signed(part.value)
        elif kind == "f":
            values["f"] = sum(_floats(reader, part)[-1:])
        elif kind == "s":
            values["s"] = reader.text(part)
        elif kind == "t":
            values["t"] = _tensor(reader, *reader.inner(part, "a tensor"))
        elif kind == "floats":
            values.setdefault("floats", []).extend(_floats(reader, part))
        elif kind == "ints":
            values.setdefault("ints", []).extend(reader.integers(part, "whole numbers"))
        elif kind == "strings":
            values.setdefault("strings", []).append(reader.text(part))
        elif kind is not None:
            raise reader.wrong(part.start, f"attribute {name!r} holds a {kind}: graphs inside of nodes are not read")
    if said and said not in ATTRIBUTE_TYPES:
        raise reader.wrong(start, f"attribute {name!r} is of type {said}: graphs inside of nodes are not read")
    kind = ATTRIBUTE_TYPES[said] if said else next(iter(values), "i")
    empty: Any = [] if kind in ("floats", "ints", "strings") else "" if kind == "s" else 0.0 if kind == "f" else 0
    if kind == "t" and "t" not in values:
        raise reader.wrong(start, f"attribute {name!r} is a tensor that is not there")
    return name, values.get(kind, empty)


def _floats(reader: Reader, part: Field, form: str = "f") -> list[float]:
    width, single = (4, FOUR_BYTES) if form == "f" else (8, EIGHT_BYTES)
    if part.wire_type == single:
        return [struct.unpack_from(f"<{form}", reader.data, part.start)[0]]
    return [float(number) for number in _packed(reader, part, f"<f{width}", width)]


def _packed(reader: Reader, part: Field, form: str, width: int) -> np.ndarray:
    start, end = reader.inner(part, "numbers")
    if (end - start) % width:
        raise reader.wrong(start, f"{end - start:,} bytes are not whole numbers of {width}")
    return np.frombuffer(reader.data, form, (end - start) // width, start)


def _tensor(reader: Reader, start: int, end: int) -> StoredTensor:
    name, type_, dims = "", 0, list[int]()
    parts: list[np.ndarray] = []
    whole: list[int] = []
    raw: Field | None = None
    for part in reader.fields(start, end):
        kind = TENSOR.get(part.number)
        if kind == "dims":
            dims.extend(_bounded(reader.integers(part, "a shape"), MAX_DIMENSIONS + 1))
        elif kind == "name":
            name = reader.text(part)
        elif kind == "type":
            type_ = part.value
        elif kind in ("floats", "doubles"):
            parts.append(_numbers(reader, part, 4 if kind == "floats" else 8))
        elif kind in ("int32s", "int64s", "uint64s"):
            whole.extend(reader.integers(part, "whole numbers"))
        elif kind == "raw":
            raw = part
        elif kind == "external" or (kind == "location" and part.value):
            raise reader.wrong(start, f"tensor {name!r} lies in another file, which is not followed: save it as one")
        elif kind in ("strings", "segment"):
            raise reader.wrong(part.start, f"tensor {name!r} holds {kind}, which are not read")
    if type_ not in TYPES:
        raise reader.wrong(start, f"tensor {name!r} is of type {type_}, which is not read")
    shape = _checked_shape(reader, start, name, dims)
    if raw is not None:
        form = np.dtype(TYPES[type_])
        numbers = _packed(reader, raw, form.str, form.itemsize)
    elif whole:
        numbers = _from_whole(type_, whole)
    else:
        numbers = parts[0] if len(parts) == 1 else np.concatenate(parts) if parts else np.zeros(0, np.float32)
    if prod(shape) != len(numbers):
        raise reader.wrong(start, f"tensor {name!r} of shape {shown_shape(shape)} holds {len(numbers):,} numbers")
    return StoredTensor(name, shape, type_, numbers)


def _numbers(reader: Reader, part: Field, width: int) -> np.ndarray:
    if part.wire_type == BYTES:
        return _packed(reader, part, f"<f{width}", width)
    return np.array(_floats(reader, part, "f" if width == 4 else "d"))


def _from_whole(type_: int, whole: list[int]) -> np.ndarray:
    """Numbers that stand as whole ones: small types, and the bits of 16 bit floats."""
    if type_ in (10, BFLOAT16):
        bits = np.array([value & 0xFFFF for value in whole], np.uint16)
        return bits.view(np.float16) if type_ == 10 else bits
    return np.array(whole, np.int64)


def _bounded(values: Iterator[int], most: int) -> Iterator[int]:
    for _, value in zip(range(most), values, strict=False):
        yield value


def _checked_shape(reader: Reader, start: int, name: str, dims: list[int]) -> tuple[int, ...]:
    if len(dims) > MAX_DIMENSIONS:
        raise reader.wrong(start, f"tensor {name!r} has more than {MAX_DIMENSIONS} dimensions")
    if any(side < 0 for side in dims) or prod(dims) > MAX_NUMBERS:
        raise reader.wrong(start, f"tensor {name!r} is of shape {shown_shape(dims)}")
    return tuple(dims)


def _value(reader: Reader, start: int, end: int) -> tuple[str, int, tuple[int | None, ...] | None]:
    """Name, type of the numbers, and shape of an input or output."""
    name, type_ = "", 0
    shape: tuple[int | None, ...] | None = None
    for part in reader.fields(start, end):
        if part.number == 1:
            name = reader.text(part)
        elif part.number == 2:
            for inner in reader.fields(*reader.inner(part, "a type")):
                if inner.number != 1:
                    continue
                for said in reader.fields(*reader.inner(inner, "a type")):
                    if said.number == 1:
                        type_ = said.value
                    elif said.number == 2:
                        shape = _sides(reader, *reader.inner(said, "a shape"))
    return name, type_, shape


def _sides(reader: Reader, start: int, end: int) -> tuple[int | None, ...]:
    sides: list[int | None] = []
    for part in reader.fields(start, end):
        if part.number != 1:
            continue
        side: int | None = None
        for said in reader.fields(*reader.inner(part, "a dimension")):
            if said.number == 1 and said.wire_type == VARINT:
                side = signed(said.value)
        sides.append(side)
        if len(sides) > MAX_DIMENSIONS:
            raise reader.wrong(start, f"more than {MAX_DIMENSIONS} dimensions")
    return tuple(sides)
