"""Write Caffe's binary files: protocol buffers by hand, so that the tests share nothing with the reader."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch

from snowball.design.caffe.network import CaffeGraph
from snowball.design.caffe.weighted import Weighted

Arrays = Mapping[str, Sequence[np.ndarray]]


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while value > 127:
        found.append(value & 127 | 128)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def blob(array: np.ndarray, form: str = "packed") -> bytes:
    """`packed` with a shape; `legacy` with four dimensions; `single` with a field for each number; `double`."""
    flat = array.reshape(-1)
    if form == "legacy":
        shape = (1,) * (4 - array.ndim) + array.shape
        return b"".join(number(at + 1, side) for at, side in enumerate(shape)) + message(
            5, flat.astype("<f4").tobytes()
        )
    shape = message(7, message(1, b"".join(varint(side) for side in array.shape)))
    if form == "single":
        return shape + b"".join(varint(5 << 3 | 5) + struct.pack("<f", value) for value in flat)
    if form == "double":
        return shape + message(8, flat.astype("<f8").tobytes())
    return shape + message(5, flat.astype("<f4").tobytes())


def caffemodel(weights: Arrays, generation: int = 2, form: str = "packed") -> bytes:
    """A net whose layers have these blobs; generation 0 and 1 are `layers`, 2 is `layer`."""
    found = message(1, b"net") + message(100, message(1, b"data") + message(2, b"Input"))  # a layer without blobs
    for name, arrays in weights.items():
        blobs = [blob(array, form) for array in arrays]
        if generation == 2:
            found += message(100, message(1, name.encode()) + b"".join(message(7, part) for part in blobs))
        elif generation == 1:
            found += message(2, message(4, name.encode()) + number(5, 4) + b"".join(message(6, part) for part in blobs))
        else:
            inner = message(1, name.encode()) + message(2, b"conv") + b"".join(message(50, part) for part in blobs)
            found += message(2, message(1, inner) + message(2, b"bottom") + message(3, b"top"))
    return found


def random_weights(graph: CaffeGraph, seed: int = 0) -> dict[str, list[np.ndarray]]:
    """Blobs for every layer that keep numbers of ordinary size: He's deviation, variances and factors above 0."""
    random = np.random.Generator(np.random.Philox(seed))
    found: dict[str, list[np.ndarray]] = {}
    for layer, module in graph.layers:
        if not isinstance(module, Weighted) or not module.blob_shapes():
            continue
        shapes = module.blob_shapes()
        if layer.type == "BatchNorm":
            factor = np.array([2.0])
            channels = shapes[0]
            found[layer.name] = [random.normal(0, 0.2, channels), random.uniform(0.5, 2, channels), factor]
            continue
        found[layer.name] = [
            # Drawn a million at a time, and those again: AlexNet's 61 million take a while.
            np.resize(random.standard_normal(min(1_000_003, int(np.prod(shape))), dtype=np.float32), shape)
            * np.float32(np.sqrt(2 / max(1, np.prod(shape[1:]))))
            if len(shape) > 1
            else random.uniform(0.1, 0.9, shape)
            for shape in shapes
        ]
    return found


def write_random(path: Path, graph: CaffeGraph, seed: int = 0) -> Path:
    """A .caffemodel of random weights for a network."""
    path.write_bytes(caffemodel(random_weights(graph, seed)))
    return path


def random_input(shape: Sequence[int], seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))
