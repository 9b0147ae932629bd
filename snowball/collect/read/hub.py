"""Hugging Face data sets: `hf:NAME` from the hub, or `hf:FOLDER` as `save_to_disk` writes one. Needs `snowball[hub]`.

Files in them are taken as they are stored and decoded by Snowball's own kinds, not by the library.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ...finding import BadInput, Finding
from ...table import SPLITS
from .cells import LazyCells
from .parquet import with_class_names
from .raw import Raw, chain_raws

__all__ = ["read_hub"]

_FILE_FEATURES = {"Image": "image", "Audio": "audio", "Video": "video"}
_SPLIT_NAMES = {"train": "train", "validation": "val", "valid": "val", "val": "val", "dev": "val", "test": "test"}


def read_hub(name: str) -> tuple[Raw, list[Finding]]:
    """The columns of a Hugging Face data set, its splits one after the other; and what was left out.

    Splits other than train, validation and test are left out. A data set with one split is the user's to split.
    """
    loaded = _load(name)
    if not isinstance(loaded, dict):
        return _read_dataset(name, "", loaded), []
    parts: dict[str, Raw] = {}
    unknown: list[str] = []
    for split, dataset in loaded.items():
        role = _SPLIT_NAMES.get(split.lower())
        if role is None or role in parts:
            unknown.append(split)
        else:
            parts[role] = _read_dataset(name, split, dataset)
    if not parts:
        raise BadInput(f"hf:{name}: splits {', '.join(unknown)}; none of them is train, validation or test")
    ordered = {split: parts[split] for split in SPLITS if split in parts}
    return chain_raws(f"hf:{name}", ordered), [_left_out(name, unknown)] if unknown else []


def _left_out(name: str, splits: Sequence[str]) -> Finding:
    message = f"hf:{name}: splits {', '.join(splits)} are left out: only train, validation and test are used"
    return Finding("skipped-splits", "note", message, {"splits": list(splits)})


def _load(name: str) -> Any:
    """A Dataset, or a dict of them by split."""
    try:
        import datasets
    except ImportError as error:
        raise BadInput(f"hf:{name} needs Hugging Face's datasets: pip install 'snowball[hub]'") from error
    if not name:
        raise BadInput("hf: names no data set, e.g. hf:ylecun/mnist")
    folder = Path(name).expanduser()
    saved = folder.is_dir() and any((folder / mark).is_file() for mark in ("dataset_dict.json", "state.json"))
    if folder.is_dir() and not saved:
        raise BadInput(f"hf:{name}: this folder was not written by save_to_disk; to read it as files, leave out hf:")
    try:
        return datasets.load_from_disk(str(folder)) if saved else datasets.load_dataset(name)
    except Exception as error:  # the library and what it builds on raise nearly anything
        lines = str(error).strip().splitlines()
        raise BadInput(f"hf:{name} could not be loaded: {lines[0] if lines else type(error).__name__}") from error


def _read_dataset(name: str, split: str, dataset: Any) -> Raw:
    import datasets

    columns: dict[str, Sequence[Any]] = {}
    kinds: dict[str, str] = {}
    for column, feature in dataset.features.items():
        form = type(feature).__name__
        if form in _FILE_FEATURES:
            stored = dataset.cast_column(column, type(feature)(decode=False))
            columns[column] = _HubCells(stored, column)
            kinds[column] = _FILE_FEATURES[form]
        elif isinstance(feature, datasets.ClassLabel):
            columns[column] = with_class_names(f"hf:{name} {split}", _values(dataset, column), feature.names)
            kinds[column] = "label"
        elif form == "Value" and feature.dtype not in ("binary", "large_binary"):
            columns[column] = _values(dataset, column)
        else:
            columns[column] = _HubCells(dataset, column)
            kinds[column] = "nested"
    origin = f"hf:{name}"
    return Raw(origin, columns, lambda row: f"{origin}, {split or 'data'} row {row + 1}", kinds=kinds)


def _values(dataset: Any, column: str) -> list[Any]:
    values: list[Any] = dataset.select_columns([column]).with_format("arrow")[:].column(column).to_pylist()
    return values


class _HubCells(LazyCells):
    """One column, a row at a time, as it is stored: files as {"bytes", "path"}."""

    def __init__(self, dataset: Any, column: str) -> None:
        self.num_rows = len(dataset)
        self._column = column
        self._dataset = dataset.select_columns([column]).with_format(None)
        self._lock = threading.Lock()

    def _cell(self, row: int) -> Any:
        with self._lock:
            return self._dataset[row][self._column]
