"""Table files: one, or one a split, in a folder."""

from __future__ import annotations

import os
from pathlib import Path

from ...finding import BadInput
from ...table import SPLITS
from .columns import SPLIT_WORDS
from .folder import is_hidden
from .raw import Raw, chain_raws

__all__ = ["TABLE_SUFFIXES", "find_table_files", "read_table_file", "read_table_files"]

TABLE_SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")


def read_table_file(path: Path) -> Raw:
    """The columns of a .csv, .tsv, .jsonl, .ndjson or .parquet file."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        from .parquet import read_parquet

        return read_parquet(path)
    if suffix in (".jsonl", ".ndjson"):
        from .jsonl import read_jsonl

        return read_jsonl(path)
    from .delimited import read_delimited

    return read_delimited(path)


def find_table_files(folder: Path) -> list[Path]:
    """The table files right in a folder, sorted; metadata.csv and its like alone where there is one."""
    names = sorted(name for name in os.listdir(folder) if name.lower().endswith(TABLE_SUFFIXES) and not is_hidden(name))
    files = [folder / name for name in names if (folder / name).is_file()]
    metadata = [file for file in files if file.stem.lower() == "metadata"]
    return metadata[:1] or files


def read_table_files(files: list[Path]) -> Raw:
    """One table file, or several that are called train, val and test."""
    if len(files) == 1:
        return read_table_file(files[0])
    by_split = {SPLIT_WORDS.get(file.stem.lower(), ""): file for file in files}
    if "" in by_split or len(by_split) < len(files):
        names = ", ".join(file.name for file in files[:10])
        raise BadInput(f"{files[0].parent}: several tables: {names}; give one, or call them train, val and test")
    ordered = [split for split in SPLITS if split in by_split]
    return chain_raws(files[0].parent, {split: read_table_file(by_split[split]) for split in ordered})
