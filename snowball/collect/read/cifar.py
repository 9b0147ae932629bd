"""CIFAR-10's binary version: records of one label byte and 3 x 32 x 32 pixel bytes. Never the pickled one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ...finding import BadInput
from ...table import Column, Table
from .cells import LazyCells

if TYPE_CHECKING:
    import numpy as np

__all__ = ["CIFAR_FILES", "cifar_table"]

SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE
CIFAR_FILES = (*(f"data_batch_{number}.bin" for number in range(1, 6)), "test_batch.bin")
NAMES = "batches.meta.txt"


def cifar_table(name: str, folder: Path) -> Table:
    """The rows of the six .bin files in a folder, with the class names of batches.meta.txt.

    test_batch.bin is the test split; the other rows are the user's to split. Pixels stay on disk.
    """
    classes = _class_names(folder / NAMES)
    records = [_map_records(folder / file, len(classes)) for file in CIFAR_FILES if (folder / file).is_file()]
    files = [file for file in CIFAR_FILES if (folder / file).is_file()]
    if len(files) < len(CIFAR_FILES):
        missing = ", ".join(file for file in CIFAR_FILES if file not in files)
        raise BadInput(f"{folder}: CIFAR-10's {missing} missing")
    labels = [classes[number] for part in records for number in part[:, 0].tolist()]
    cells = _CifarCells(records)
    splits = [split for file, part in zip(files, records, strict=True) for split in [_split(file)] * len(part)]

    def where(row: int) -> str:
        part, inside = cells.locate(row)
        return f"{files[part]}, picture {inside}"

    columns = {"image": Column("image", "image", cells), "label": Column("label", "label", labels)}
    return Table(name, columns, splits, where)


def _split(file: str) -> str:
    return "test" if file == "test_batch.bin" else ""


def _class_names(path: Path) -> list[str]:
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise BadInput(f"{path}: the class names cannot be read ({error})") from error
    if len(names) != 10:
        raise BadInput(f"{path}: {len(names)} class names, CIFAR-10 has 10")
    return names


def _map_records(path: Path, num_classes: int) -> np.ndarray:
    """(N, 3073) uint8, mapped from the file."""
    import numpy as np

    size = path.stat().st_size
    if not size or size % RECORD:
        raise BadInput(f"{path}: {size:,} bytes are not whole records of {RECORD:,}: truncated?")
    records = np.memmap(path, np.uint8, "r", shape=(size // RECORD, RECORD))
    wrong = records[:, 0] >= num_classes
    if wrong.any():
        row = int(wrong.argmax())
        raise BadInput(f"{path}, picture {row}: label {records[row, 0]}, but there are {num_classes} classes")
    return records


class _CifarCells(LazyCells):
    """Pictures (32, 32, 3) uint8, out of mapped records."""

    def __init__(self, records: Sequence[np.ndarray]) -> None:
        self._records = records
        self._per_file = [len(part) for part in records]
        self.num_rows = sum(self._per_file)

    def locate(self, row: int) -> tuple[int, int]:
        """Which file a row stands in, and where in it."""
        part = 0
        while row >= self._per_file[part]:
            row -= self._per_file[part]
            part += 1
        return part, row

    def _cell(self, row: int) -> np.ndarray:
        import numpy as np

        part, inside = self.locate(row)
        planes = self._records[part][inside, 1:].reshape(3, SIDE, SIDE)
        return np.ascontiguousarray(planes.transpose(1, 2, 0))
