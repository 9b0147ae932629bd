"""A folder, or one file, of text: parallel files, labelled lines or documents, found by names and by looking."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...finding import BadInput, Finding
from ...table import Table
from .archive import is_archive
from .columns import SPLIT_WORDS
from .documents import document_table, is_document_name
from .folder import holds_files, is_hidden, is_utf8, scan
from .idx import is_idx_name
from .label_form import LabelForm, find_form, fits_form
from .label_lines import LABELLED_FORMS, label_table
from .media import TEXT, is_about, kind_of_path, kind_suffixes
from .parallel import find_parallel, parallel_table
from .split_names import split_of_name
from .tables import TABLE_SUFFIXES
from .text_file import TextFile, is_binary, read_text_file, read_text_files

__all__ = ["read_text_folder", "read_text_path"]

_SHOWN = 20
# Code, pages, notes and packed files that stand beside data; everything else is looked into. Not .pt: Portuguese.
_NEVER = re.compile(r".*\.(py|ipynb|sh|c|cc|cpp|h|js|json|xml|html?|ya?ml|toml|md|rst|pdf|rar|7z|pkl|npy|npz)", re.I)
_TABLES = tuple(f"{suffix}{packed}" for suffix in TABLE_SUFFIXES for packed in ("", ".gz"))


def read_text_path(path: Path, name: str) -> tuple[Table, list[Finding]] | None:
    """One file of labelled lines, or one document (.txt or .txt.gz); None where it is neither."""
    if not _may_be_lines(path.name, kind_suffixes()):
        return None
    is_document = is_document_name(path.name)
    if not is_document and is_binary(path):
        return None
    file = read_text_file(path)
    if form := find_form(file.lines()):
        return label_table(name, path, [(file, form)])
    if not is_document:
        file.check_lines()
        return None
    return document_table(name, path, [file])


@dataclass
class _Held:
    """What stands right in a folder: files that may hold text, and what is passed over, by suffix."""

    texts: list[Path] = field(default_factory=list)
    skipped: Counter[str] = field(default_factory=Counter)
    others: int = 0
    folders: list[str] = field(default_factory=list)


def read_text_folder(folder: Path, name: str) -> tuple[Table, list[Finding]] | None:
    """The text that stands right in a folder; None where there is none, or where folders in it hold what counts.

    `train/1.txt` beside `test/1.txt` are documents too: their folders name splits, and no class.
    """
    held = _look(folder)
    if held.others > len(held.texts) // 2:  # a picture may have its caption or its boxes beside it
        return None
    if _are_splits(folder, held.folders):
        paths = [folder / path for path in scan(folder, kind_suffixes()).files if "/" in path]
        if paths and all(path.parent.parent == folder and is_document_name(path.name) for path in paths):
            found = document_table(name, folder, read_text_files(paths))
            held.skipped.update(_suffix(path.name) for path in held.texts)
            return _with_skipped(found, folder, held.skipped)
    if not held.texts or (held.folders and any("/" in path for path in scan(folder, kind_suffixes()).files)):
        return None
    if parts := find_parallel(held.texts):
        used = {path for part in parts.values() for path in part.values()}
        found = parallel_table(name, parts)
    else:
        files = read_text_files(path for path in held.texts if is_document_name(path.name) or not is_binary(path))
        documents = [file for file in files if is_document_name(file.path.name)]
        if labelled := _labelled(files):
            used = {file.path for file, _ in labelled}
            found = label_table(name, folder, labelled)
        elif documents:
            used = {file.path for file in documents}
            found = document_table(name, folder, documents)
        else:
            return None
    held.skipped.update(_suffix(path.name) for path in held.texts if path not in used)
    return _with_skipped(found, folder, held.skipped)


def _look(folder: Path) -> _Held:
    suffixes = kind_suffixes()
    held = _Held()
    with os.scandir(folder) as entries:
        for entry in entries:
            if is_hidden(entry.name) or is_about(entry.name):
                continue
            if entry.is_dir():
                held.folders.append(entry.name)
            elif entry.is_file() and is_utf8(entry.name) and _may_be_lines(entry.name, suffixes):
                held.texts.append(Path(entry.path))
            else:
                held.skipped[_suffix(entry.name)] += 1
                held.others += kind_of_path(entry.name, suffixes) is not None
    held.texts.sort()
    return held


def _may_be_lines(name: str, suffixes: Mapping[str, str]) -> bool:
    """Whether a file's name leaves open what is in it, or says that it is text."""
    if name.lower().endswith(_TABLES) or is_archive(name) or is_idx_name(name) or _NEVER.fullmatch(name):
        return False
    return kind_of_path(name, suffixes) in (None, TEXT)


def _are_splits(folder: Path, names: Sequence[str]) -> bool:
    """Whether the folders are called train, and val or test, and directly hold documents."""
    splits = [SPLIT_WORDS.get(name.lower(), "") for name in names]
    if len(splits) < 2 or not all(splits) or "train" not in splits:
        return False
    return all(holds_files(folder / name, {".txt": TEXT}) for name in names)


def _labelled(files: Sequence[TextFile]) -> list[tuple[TextFile, LabelForm]]:
    """The files of labelled lines; none where they are the minority among documents.

    A small one may hold one class only, which makes no form: it needs to be like the others. One that is called val
    or test and is not raises BadInput; nothing that is named as a split is passed over.
    """
    forms = [(file, find_form(file.lines())) for file in files]
    labelled = [(file, form) for file, form in forms if form]
    documents = [form for file, form in forms if is_document_name(file.path.name)]
    found = sum(form is not None for form in documents)
    if not labelled or (2 * found < len(documents) and found == len(labelled)):
        return []
    model, form = labelled[0]
    named = {form.split(line)[0] for line in model.lines() if line.strip()}
    for file, unlike in forms:
        if unlike is None and fits_form(form, file.lines(), named):
            labelled.append((file, form))
        elif unlike is None and split_of_name(file.path.name):
            raise BadInput(
                f"{file.path}: not {LABELLED_FORMS}, while {model.path.name} holds `{form.shown}`: mend it"
                " or move it away"
            )
    return sorted(labelled, key=lambda pair: pair[0].path)


def _with_skipped(
    found: tuple[Table, list[Finding]], folder: Path, skipped: Counter[str]
) -> tuple[Table, list[Finding]]:
    if not skipped:
        return found
    table, findings = found
    shown = ", ".join(f"{count} x {suffix}" for suffix, count in skipped.most_common(5))
    message = f"{folder}: {skipped.total()} files passed over: {shown}"
    note = Finding("skipped-files", "note", message, {"suffixes": dict(skipped.most_common(_SHOWN))})
    return table, [*findings, note]


def _suffix(name: str) -> str:
    return os.path.splitext(name)[1].lower().encode(errors="replace").decode() or "no suffix"
