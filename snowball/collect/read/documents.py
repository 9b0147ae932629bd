"""Documents: each .txt or .txt.gz file is one row with one column, `text`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ...finding import BadInput, Finding
from ...table import Column, Table
from .columns import SPLIT_WORDS
from .split_names import split_of_name
from .text_file import TextFile, encoding_findings

__all__ = ["DOCUMENT_SUFFIXES", "document_table", "is_document_name"]

DOCUMENT_SUFFIXES = (".txt", ".txt.gz")
_SHOWN = 20


def is_document_name(name: str) -> bool:
    return name.lower().endswith(DOCUMENT_SUFFIXES)


def document_table(name: str, origin: Path, files: Sequence[TextFile]) -> tuple[Table, list[Finding]]:
    """One row a document, except for the empty ones, which a finding names. `origin` is what rows are named from."""
    all_names = [_shown(origin, file) for file in files]
    all_splits = _splits(all_names)
    filled = [number for number, file in enumerate(files) if file.text.strip()]
    empty = [name for name, file in zip(all_names, files, strict=True) if not file.text.strip()]
    if not filled:
        raise BadInput(f"{origin}: {_empties(empty)}: there is no text to learn from")
    full = [files[number] for number in filled]
    names = [all_names[number] for number in filled]
    splits = [all_splits[number] for number in filled]
    columns = {"text": Column("text", "text", [file.text for file in full])}
    findings = encoding_findings(full)
    if empty:
        message = f"{origin}: {_empties(empty)}: set aside"
        evidence = {"files": empty[:_SHOWN], "count": len(empty)}
        findings.append(Finding("empty-documents", "warning", message, evidence, "fill or remove them"))
    return Table(name, columns, splits, lambda row: names[row]), findings


def _shown(origin: Path, file: TextFile) -> str:
    return file.path.relative_to(origin).as_posix() if file.path != origin else file.path.name


def _empties(names: Sequence[str]) -> str:
    if len(names) == 1:
        return f"{names[0]} is empty"
    return f"{len(names):,} documents are empty, e.g. {', '.join(names[:5])}"


def _splits(names: Sequence[str]) -> list[str]:
    """By folder (`train/1.txt`), else by name: files called exactly train, val and test, or all files by a word.

    Among other documents, one that is called `test drive.txt` is no test split: the words count where all have one.
    """
    if len(names) == 1:
        return [""]
    if all("/" in name for name in names):
        splits = [SPLIT_WORDS.get(name.split("/", 1)[0].lower(), "") for name in names]
        return splits if all(splits) and "train" in splits else [""] * len(names)
    by_stem = [SPLIT_WORDS.get(name.lower().removesuffix(".gz").removesuffix(".txt"), "") for name in names]
    if "train" in by_stem:
        return by_stem
    by_word = [split_of_name(name) for name in names]
    return by_word if all(by_word) and "train" in by_word else [""] * len(names)
