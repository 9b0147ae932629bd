"""Keras's files as tensors and JSON: .keras (a zip of JSON and HDF5) and .h5 (HDF5 with JSON in an attribute).

`write` runs in a process of its own (`..apart`), since the C library below h5py has crashed on hostile files. Nothing
is followed that leaves the file or the usual: no soft or external links, no datasets kept elsewhere, in chunks or
filtered. So every number that is read lies in the file, and no size has to be believed.
"""

from __future__ import annotations

import json
import shutil
import stat
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...finding import BadInput, brief
from ..apart import read_apart

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

__all__ = ["Archive", "read_archive", "write"]

SECONDS = 3  # of the processor, and one more for each
BYTES_A_SECOND = 20_000_000
ROOM = 1_500_000_000  # address space beside the file's own; NumPy and h5py map half of it
MAX_FILE = 2**32
MAX_CONFIG = 8_000_000  # bytes of JSON: NASNet's are 1.5 million
MAX_RATIO = 20  # of what a zip's entry becomes to what it is; Keras does not compress, and weights hardly do
MAX_OBJECTS = 50_000  # groups and datasets
MAX_DEPTH = 32
MAX_DIMENSIONS = 8
ENTRIES = {"metadata.json": 100_000, "config.json": MAX_CONFIG, "model.weights.h5": MAX_FILE}
ZIP, HDF5 = b"PK\x03\x04", b"\x89HDF\r\n\x1a\n"


@dataclass(frozen=True)
class Archive:
    """What one file holds."""

    config: str
    """The network as JSON."""
    version: str
    """Of the Keras that wrote it."""
    tensors: dict[str, Tensor]
    """By their place in the file."""
    layers: dict[str, list[tuple[str, str]]] | None
    """Of a .h5: layer -> (name, place) of its weights in Keras's order. None of a .keras, whose places tell that."""


def read_archive(path: Path) -> Archive:
    """Read a .keras or .h5 file. Raises BadInput."""
    from importlib.util import find_spec

    if find_spec("h5py") is None:
        raise BadInput(f"{path}: reading Keras's files takes h5py: pip install 'snowball[keras]'")
    try:
        size = path.stat().st_size
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    if not 0 < size <= MAX_FILE:
        raise BadInput(f"{path}: {size:,} bytes; 1 to {MAX_FILE:,} are possible")
    tensors, texts = read_apart(__name__, path, SECONDS + size // BYTES_A_SECOND, ROOM + 4 * size)
    layers = json.loads(texts["layers"])
    if layers is not None:
        layers = {name: [(said, place) for said, place in weights] for name, weights in layers.items()}
    return Archive(texts["config"], texts["version"], tensors, layers)


def write(source: Path, out: Path) -> None:
    """One of Keras's files as safetensors, with the JSON beside them. Raises BadInput."""
    from safetensors.numpy import save_file

    with source.open("rb") as file:
        magic = file.read(8)
    try:
        if magic == HDF5:
            texts, tensors = _read_h5(source)
        elif magic.startswith(ZIP):
            texts, tensors = _read_zip(source, out.with_suffix(".h5"))
        else:
            raise BadInput(f"neither a zip file nor HDF5, which Keras's files are: it begins with {magic!r}")
        save_file(tensors, out, metadata=texts)
    except (BadInput, MemoryError):
        raise
    except Exception as error:  # hostile bytes make the parsers raise nearly anything
        raise BadInput(f"damaged ({type(error).__name__}: {brief(error)})") from error


def _read_zip(source: Path, unpacked: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    import h5py

    with zipfile.ZipFile(source) as archive:
        there = _entries(archive)
        config, metadata = (_text(archive, there[name]) for name in ("config.json", "metadata.json"))
        with archive.open(there["model.weights.h5"]) as packed, unpacked.open("wb") as file:
            shutil.copyfileobj(packed, file, 2**20)
    said = json.loads(metadata)
    version = str(said.get("keras_version", "") if isinstance(said, dict) else "")
    with h5py.File(unpacked, "r") as file:
        tensors = dict(_datasets(file, unpacked.stat().st_size, leave_out="optimizer"))
    return {"config": config, "version": version, "layers": "null"}, tensors


def _entries(archive: zipfile.ZipFile) -> dict[str, zipfile.ZipInfo]:
    """The entries that there have to be, each within its limits; besides, only what lies in assets/."""
    found: dict[str, zipfile.ZipInfo] = {}
    for entry in archive.infolist():
        name = entry.filename
        if name.startswith("assets/"):
            continue  # vocabularies of text layers, which are not read here
        if name not in ENTRIES or name in found:
            raise BadInput(f"the zip file holds {name[:80]!r}{' twice' if name in found else ''}: not a model of Keras")
        if entry.flag_bits & 1 or stat.S_ISLNK(entry.external_attr >> 16):
            raise BadInput(f"{name} in the zip file is encrypted, or a link")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadInput(f"{name} in the zip file is compressed by method {entry.compress_type}")
        if entry.file_size > min(ENTRIES[name], max(MAX_CONFIG, MAX_RATIO * entry.compress_size)):
            raise BadInput(f"{name} in the zip file claims {entry.file_size:,} bytes, packed {entry.compress_size:,}")
        found[name] = entry
    if missing := ENTRIES.keys() - found.keys():
        raise BadInput(f"the zip file lacks {', '.join(sorted(missing))}: not a model of Keras")
    return found


def _text(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> str:
    with archive.open(entry) as file:
        return file.read(ENTRIES[entry.filename] + 1).decode()


def _read_h5(source: Path) -> tuple[dict[str, str], dict[str, np.ndarray]]:
    import h5py

    with h5py.File(source, "r") as file:
        if "model_config" not in file.attrs or _inner(file, "model_weights") is None:
            raise BadInput("holds no network ('model_config'), only weights: save the whole model with model.save(...)")
        version = _texts(file, "keras_version") or [""]
        config = "".join(_texts(file, "model_config"))
        group = _inner(file, "model_weights")
        tensors = dict(_datasets(group, source.stat().st_size))
        layers = {}
        for name in _all_texts(group, "layer_names"):
            inner = _inner(group, name)
            if inner is None:
                raise BadInput(f"names a layer {name[:80]!r} and holds no group of that name")
            layers[name] = [(said, f"{name}/{said}") for said in _all_texts(inner, "weight_names")]
        for weights in layers.values():
            for _, place in weights:
                if place not in tensors:
                    raise BadInput(f"names weights {place[:120]!r} and holds none of that name")
    return {"config": config, "version": version[0], "layers": json.dumps(layers)}, tensors


def _inner(group: Any, name: str) -> Any:
    """The group of that name, by hard links alone; None where there is none."""
    import h5py

    for part in name.split("/"):
        if not isinstance(group, h5py.Group) or part not in group.keys():  # noqa: SIM118 (`in group` follows links)
            return None
        _check_link(group, part)
        group = group[part]
    return group if isinstance(group, h5py.Group) else None


def _check_link(group: Any, name: str) -> None:
    import h5py

    kind = group.get(name, getlink=True)
    if not isinstance(kind, h5py.HardLink):
        raise BadInput(f"{name[:80]!r} is a link ({type(kind).__name__}): only what lies in the file itself is read")


def _datasets(top: Any, size: int, leave_out: str = "") -> Iterator[tuple[str, np.ndarray]]:
    """(place, numbers) of every dataset below a group, without the group `leave_out` of it."""
    import h5py

    seen: set[Any] = set()
    left = size
    pending = [("", top, 0)]
    while pending:
        place, group, depth = pending.pop()
        for name in group.keys():  # noqa: SIM118 (a group of h5py)
            if depth == 0 and name == leave_out:
                continue
            _check_link(group, name)
            found = group[name]
            inner = f"{place}{name}"
            address = h5py.h5o.get_info(found.id).addr
            if address in seen:
                raise BadInput(f"{inner[:120]!r} is what another name stands for too: links in a circle?")
            seen.add(address)
            if len(seen) > MAX_OBJECTS or depth >= MAX_DEPTH:
                raise BadInput(f"more than {MAX_OBJECTS:,} groups, or nested more than {MAX_DEPTH} deep")
            if isinstance(found, h5py.Group):
                pending.append((f"{inner}/", found, depth + 1))
            elif isinstance(found, h5py.Dataset):
                numbers = _numbers(found, inner[:120], left)
                left -= found.id.get_storage_size()
                yield inner, numbers
            else:
                raise BadInput(f"{inner[:120]!r} is neither a group nor numbers")


def _numbers(dataset: Any, place: str, left: int) -> np.ndarray:
    """float32, after it was made sure that as many bytes lie in the file as its shape asks for."""
    import h5py
    import numpy as np

    held = dataset.id
    plan = held.get_create_plist()
    if plan.get_external_count():
        raise BadInput(f"{place!r} keeps its numbers in another file")
    if plan.get_layout() not in (h5py.h5d.CONTIGUOUS, h5py.h5d.COMPACT) or plan.get_nfilters():
        raise BadInput(f"{place!r} is stored in chunks, compressed or virtual: Keras stores plain arrays")
    kind = held.get_type()
    if kind.get_class() not in (h5py.h5t.INTEGER, h5py.h5t.FLOAT) or kind.get_size() > 8:
        raise BadInput(f"{place!r} does not hold numbers of at most 64 bits")
    space = held.get_space()
    shape = space.get_simple_extent_dims() if space.get_simple_extent_type() != h5py.h5s.NULL else (0,)
    claimed, stored = prod(shape) * kind.get_size(), held.get_storage_size()
    if len(shape) > MAX_DIMENSIONS or claimed != stored or stored > left:
        raise BadInput(
            f"{place!r} of shape {' x '.join(map(str, shape))} claims {claimed:,} bytes; {stored:,} are said to be"
            f" there, {left:,} are left in the file"
        )
    return np.ascontiguousarray(dataset[()], dtype=np.float32).reshape(shape)


def _all_texts(group: Any, name: str) -> list[str]:
    """A list of texts, which Keras cuts into `name0`, `name1`, ... where it is long."""
    found = _texts(group, name)
    number = 0
    while f"{name}{number}" in group.attrs:
        found += _texts(group, f"{name}{number}")
        number += 1
    return found


def _texts(group: Any, name: str) -> list[str]:
    """The texts of an attribute; none where there is no such attribute."""
    import h5py
    import numpy as np

    if name not in group.attrs:
        return []
    held = group.attrs.get_id(name)
    count = prod(held.shape)
    if not count:
        return []  # of floats, as NumPy makes an empty list
    if held.get_type().get_class() != h5py.h5t.STRING:
        raise BadInput(f"attribute {name!r} is not text")
    if count > MAX_OBJECTS or held.get_storage_size() > MAX_CONFIG:
        raise BadInput(f"attribute {name!r} claims {count:,} texts, {held.get_storage_size():,} bytes")
    values = np.atleast_1d(np.asarray(group.attrs[name], dtype=object)).reshape(-1)
    texts = [value.decode() if isinstance(value, bytes) else str(value) for value in values]
    if sum(map(len, texts)) > MAX_CONFIG:
        raise BadInput(f"attribute {name!r} is longer than {MAX_CONFIG:,} bytes")
    return texts
