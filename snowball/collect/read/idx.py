"""idx files, the format of MNIST: a big-endian header and bytes. N pictures of H x W, and N labels beside them.

`images-idx3` holds magic 2051, N, H, W and N*H*W bytes; `labels-idx1` holds magic 2049, N and N bytes. Every number
is checked against the file's size before anything is allocated.
"""

from __future__ import annotations

import gzip
import math
import os
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ...finding import BadInput
from ...table import Column, Table

if TYPE_CHECKING:
    import numpy as np

__all__ = ["find_pairs", "idx_table", "is_idx_name", "pair_of", "read_idx"]

MAX_BYTES = 4 << 30  # decoded; MNIST has 47 MB, the largest idx set in use (QMNIST) 94 MB
_MAX_DEFLATE = 1032  # gzip never packs more than this many bytes into one (zlib's technical notes)
_CHUNK = 1 << 20
_NAME = re.compile(r"(?P<set>.*?)[-_.]?(?P<part>images|labels)[-_.]idx(?P<dims>[13])[-_.]ubyte(?P<gz>\.gz)?", re.I)
_DIMS = {"images": 3, "labels": 1}


def is_idx_name(name: str) -> bool:
    """Whether a file's name is that of an idx file.

    >>> is_idx_name("t10k-images-idx3-ubyte.gz"), is_idx_name("train-labels.idx1-ubyte"), is_idx_name("a.png")
    (True, True, False)
    """
    return _NAME.fullmatch(name) is not None


def read_idx(path: Path, num_dims: int) -> np.ndarray:
    """The array of an idx file, (N, H, W) or (N,) uint8, plain or gzipped.

    Raises BadInput for a wrong magic, for a size that is not the header's, and for what is not whole.
    """
    import numpy as np

    packed = path.suffix.lower() == ".gz"
    try:
        size = path.stat().st_size
        with gzip.open(path) if packed else path.open("rb") as file:
            shape = _read_header(path, file, num_dims)
            num_bytes = math.prod(shape)
            _check_size(path, size, shape, packed)
            array = np.empty(num_bytes, np.uint8)
            filled = _fill(file, array)
            if filled < num_bytes:
                wanted = f"its header {_shown(shape)} asks for {num_bytes:,} bytes"
                raise BadInput(f"{path}: truncated: {wanted}, {filled:,} follow")
            if file.read(1):
                raise BadInput(f"{path}: more data than its header {_shown(shape)} says")
    except EOFError as error:
        raise BadInput(f"{path}: truncated: the gzip stream ends early") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadInput(f"{path}: damaged gzip file ({error})") from error
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror or error}") from error
    return array.reshape(shape)


def _read_header(path: Path, file: BinaryIO | gzip.GzipFile, num_dims: int) -> tuple[int, ...]:
    length = 4 + 4 * num_dims
    header = file.read(length)
    if len(header) < length:
        raise BadInput(f"{path}: {len(header)} bytes are too few for an idx header of {length}")
    magic, *shape = struct.unpack(f">{1 + num_dims}I", header)
    wanted = 0x800 + num_dims
    if magic != wanted:
        raise BadInput(f"{path}: magic number {magic}, but an idx file of bytes in {num_dims} dimensions has {wanted}")
    if not all(shape):
        raise BadInput(f"{path}: its header {_shown(shape)} has a zero: there is nothing in it")
    return tuple(shape)


def _check_size(path: Path, size: int, shape: Sequence[int], packed: bool) -> None:
    """Refuse a header that the file cannot keep, before the array is allocated."""
    num_bytes = math.prod(shape)
    if num_bytes > MAX_BYTES:
        raise BadInput(f"{path}: its header {_shown(shape)} asks for more than {MAX_BYTES >> 30} GiB")
    header = 4 + 4 * len(shape)
    if packed and num_bytes > size * _MAX_DEFLATE:
        raise BadInput(f"{path}: truncated: its header {_shown(shape)} is more than {size:,} gzipped bytes can hold")
    if not packed and size != header + num_bytes:
        problem = "truncated" if size < header + num_bytes else "more data than its header says"
        raise BadInput(f"{path}: {problem}: {_shown(shape)} makes {header + num_bytes:,} bytes, the file has {size:,}")


def _fill(file: BinaryIO | gzip.GzipFile, array: np.ndarray) -> int:
    view = array.data
    filled = 0
    while filled < len(view):
        got = file.readinto(view[filled : filled + _CHUNK])  # type: ignore[union-attr]  # BinaryIO leaves it out
        if not got:
            break
        filled += got
    return filled


def _shown(shape: Iterable[int]) -> str:
    return " x ".join(f"{length:,}" for length in shape)


def find_pairs(folder: Path) -> list[tuple[Path, Path]]:
    """The (images, labels) pairs of idx files in a folder, sorted; empty where it has none.

    An unpacked file goes before the same file gzipped. An images file without its labels is an error.
    """
    found: dict[tuple[str, str], Path] = {}
    for name in sorted(os.listdir(folder), reverse=True):  # x.gz before x, so that x stays
        match = _NAME.fullmatch(name)
        if match and not name.startswith("."):
            found[match["set"].lower(), match["part"].lower()] = folder / name
    pairs = []
    for key in sorted({key for key, _ in found}):
        images, labels = found.get((key, "images")), found.get((key, "labels"))
        if images is None or labels is None:
            here = images or labels
            missing = "labels-idx1" if labels is None else "images-idx3"
            raise BadInput(f"{here}: the {missing} file that belongs to it is not beside it")
        pairs.append((images, labels))
    return pairs


def pair_of(path: Path) -> tuple[Path, Path]:
    """The (images, labels) pair that one of the two files belongs to."""
    match = _NAME.fullmatch(path.name)
    assert match, path
    for images, labels in find_pairs(path.parent):
        if path.name.removesuffix(".gz") in (images.name.removesuffix(".gz"), labels.name.removesuffix(".gz")):
            return images, labels
    raise BadInput(f"{path}: no such file")


def idx_table(name: str, pairs: Sequence[tuple[Path, Path]], classes: Sequence[str] = ()) -> Table:
    """A table of pictures and labels from pairs of idx files.

    Files called test or t10k make the test split; all other rows are the user's to split. Labels are their numbers,
    or the names in `classes`.
    """
    import numpy as np

    pictures: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    splits: list[str] = []
    for images_path, labels_path in pairs:
        images, labels = read_idx(images_path, 3), read_idx(labels_path, 1)
        _check_pair(images_path, images, labels_path, labels, classes)
        if pictures and images.shape[1:] != pictures[0].shape[1:]:
            other = f"{pairs[0][0].name} has {_shown(pictures[0].shape[1:])}"
            raise BadInput(f"{images_path}: pictures of {_shown(images.shape[1:])}, but {other}")
        pictures.append(images)
        numbers.append(labels)
        splits += ["test" if re.search("t10k|test", images_path.name, re.I) else ""] * len(images)
    names = list(classes) or [str(number) for number in range(256)]
    cells: Any = pictures[0] if len(pictures) == 1 else np.concatenate(pictures)
    labels_text = [names[number] for part in numbers for number in part.tolist()]
    starts = np.cumsum([0, *map(len, pictures)]).tolist()

    def where(row: int) -> str:
        part = max(i for i, start in enumerate(starts[:-1]) if start <= row)
        return f"{pairs[part][0].name}, picture {row - starts[part]}"

    columns = {"image": Column("image", "image", cells), "label": Column("label", "label", labels_text)}
    return Table(name, columns, splits, where)


def _check_pair(
    images_path: Path, images: np.ndarray, labels_path: Path, labels: np.ndarray, classes: Sequence[str]
) -> None:
    if len(images) != len(labels):
        raise BadInput(f"{images_path} has {len(images):,} pictures, but {labels_path.name} has {len(labels):,} labels")
    if classes and labels.max() >= len(classes):
        row = int((labels >= len(classes)).argmax())
        raise BadInput(f"{labels_path}: label {row} is {labels[row]}, but the classes are 0..{len(classes) - 1}")
