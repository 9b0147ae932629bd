"""Say what each column of a table is, by looking at its values: files, the answer, the split, text or numbers."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ...finding import BadInput, nearest
from ...recipe import DataSection
from ...table import Column, Table
from .answers import label_cells, pick_label
from .media import TEXT, kind_of_path, kind_suffixes, path_cells
from .parts import PartCells, find_parts
from .places import find_place, search_place
from .raw import Raw

__all__ = ["SPLIT_WORDS", "names_files", "type_columns"]

SAMPLE = 200
SPLIT_WORDS = {
    **dict.fromkeys(("train", "training"), "train"),
    **dict.fromkeys(("val", "valid", "validation", "dev"), "val"),
    **dict.fromkeys(("test", "testing"), "test"),
}
_SPLIT_COLUMNS = ("split", "subset", "fold", "partition")


@dataclass(frozen=True)
class _Files:
    """A column of paths: their kind, the folder they start from, and the first of a sample that is not there."""

    kind: str
    folder: Path
    sampled: int
    missing: int
    first_missing: int
    paths: Sequence[Any]
    """Relative to the folder; other than the source's where only their bare names were found."""

    @property
    def most_exist(self) -> bool:
        return 2 * self.missing < self.sampled


def type_columns(raw: Raw, data: DataSection, name: str) -> Table:
    """The table called `name`: each column of `raw` with its kind.

    - Paths with a kind's suffix, of which most exist under `data.root` or beside the file, are that kind.
    - `data.answer` is a label, whole numbers and text alike, unless it holds files, sentences or many fractions.
      Without it, a column called label, class, category, target or y is; else the one with few distinct values.
    - split, subset, fold or partition, where it holds train, val and test, is the table's split.
    - Columns start and end beside one of a kind that runs over time make its cells parts of their files.
    - Everything else is `text` or `number`, and can be a group.

    Raises BadInput where a named column or most files are missing, the answer is not clear, or one file has two labels.
    """
    given, named = _named_columns(raw, data)
    _check_header(raw)
    split_column, split = _find_split(raw, named)
    cells = {column: values for column, values in raw.columns.items() if column != split_column}
    files = _find_files(raw, data)
    kinds = dict(raw.kinds) | {column: found.kind for column, found in files.items() if found.most_exist}
    _check_files_exist(raw, files, kinds, given)
    cut = find_parts(cells, {column: kinds[column] for column, found in files.items() if found.most_exist}, named)
    if cut is not None:
        cells = {column: values for column, values in cells.items() if column not in (cut.start, cut.end)}
    plain = {column: values for column, values in cells.items() if not _is_file_kind(kinds, column)}
    label, others = pick_label(raw, plain, data, given, is_lone=len(cells) == 1)
    kinds |= others
    columns: dict[str, Column] = {}
    for column, values in cells.items():
        if column == label:
            columns[column] = Column(column, "label", label_cells(values))
        elif cut is not None and column == cut.column:
            whole = path_cells(kinds[column], files[column].folder, files[column].paths)
            parts = PartCells(whole, raw.columns[cut.start], raw.columns[cut.end])
            columns[column] = Column(column, kinds[column], parts)
        elif column in files and files[column].most_exist:
            columns[column] = Column(
                column, kinds[column], path_cells(kinds[column], files[column].folder, files[column].paths)
            )
        else:
            columns[column] = Column(column, kinds[column], values)
    if label is not None and cut is None:
        paths = [column for column, found in files.items() if found.most_exist]
        _check_one_label_each(raw, columns[label], given or paths, paths)
    groups = None if cut is None else [str(path) for path in cells[cut.column]]
    return Table(name, columns, split, raw.where, groups=groups)


def _is_file_kind(kinds: Mapping[str, str], column: str) -> bool:
    return kinds.get(column, "label") != "label"


def _check_header(raw: Raw) -> None:
    suffixes = kind_suffixes()
    for column in raw.columns:
        if raw.folder and kind_of_path(column, suffixes) and (raw.folder / column).is_file():
            raise BadInput(
                f"{raw.origin}: its first row holds the file {column!r}, but should name the columns: file,label"
            )


def names_files(raw: Raw, data: DataSection) -> bool:
    """Whether a column holds files of a known kind, or paths to some that exist."""
    stated = any(kind not in ("label", "nested", "bytes") for kind in raw.kinds.values())
    return stated or any(found.most_exist for found in _find_files(raw, data).values())


def _named_columns(raw: Raw, data: DataSection) -> tuple[list[str], set[str]]:
    """What data.given names, and every column that the recipe names. Each must exist."""
    given = data.given.split(",") if data.given else []
    for key, names in (("given", given), ("answer", [data.answer]), ("group", [data.group])):
        for column in names:
            if column and column not in raw.columns:
                known = ", ".join(list(raw.columns)[:20])
                hint = nearest(column, raw.columns)
                raise BadInput(f"{raw.origin}: data.{key}={column}: no such column; its columns are {known}{hint}")
    return given, {column for column in (*given, data.answer, data.group) if column}


def _find_split(raw: Raw, named: set[str]) -> tuple[str | None, Sequence[str]]:
    """The column that states the split, if any, and the split of every row."""
    if raw.split is not None:
        return None, raw.split
    for column, cells in raw.columns.items():
        if column.lower() not in _SPLIT_COLUMNS or column in named or column in raw.kinds:
            continue
        words = ["" if cell is None else str(cell).strip().lower() for cell in cells]
        if not any(word in SPLIT_WORDS for word in words):
            continue  # numbered folds, say
        for row, word in enumerate(words):
            if word and word not in SPLIT_WORDS:
                hint = nearest(word, SPLIT_WORDS)
                raise BadInput(f"{raw.where(row)}: {column} {word!r} is not one of train, val, test{hint}")
        return column, [SPLIT_WORDS.get(word, "") for word in words]
    return None, [""] * len(raw)


def _find_files(raw: Raw, data: DataSection) -> dict[str, _Files]:
    """Columns of which most values have the suffix of one kind. Where no file is there, they are searched for."""
    folders = [Path(data.root).expanduser()] if data.root else []
    folders += [raw.folder] if raw.folder else []
    named = _path_columns(raw) if folders else {}
    places = {column: find_place(folders, raw.columns[column], sample) for column, (_, sample) in named.items()}
    if all(2 * len(place.missing) >= len(named[column][1]) for column, place in places.items()):
        for column, (_, sample) in named.items():
            places[column] = search_place(folders, raw.columns[column], sample) or places[column]
    found: dict[str, _Files] = {}
    for column, (kind, sample) in named.items():
        place = places[column]
        if raw.sealed:
            _check_inside(raw, place.paths)
        first = place.missing[0] if place.missing else -1
        found[column] = _Files(kind, place.folder, len(sample), len(place.missing), first, place.paths)
    return found


def _path_columns(raw: Raw) -> dict[str, tuple[str, list[int]]]:
    """column -> the kind whose suffix most of its values have, and the rows that were looked at."""
    suffixes = kind_suffixes()
    named: dict[str, tuple[str, list[int]]] = {}
    for column, cells in raw.columns.items():
        if column in raw.kinds:
            continue
        sample = [row for row in range(0, len(cells), max(1, len(cells) // SAMPLE)) if cells[row] not in (None, "")]
        kinds = [kind_of_path(cells[row].strip(), suffixes) if isinstance(cells[row], str) else None for row in sample]
        for kind in set(kinds) - {None}:
            if kind is not None and 2 * kinds.count(kind) > len(sample):
                named[column] = kind, sample
    return named


def _check_inside(raw: Raw, cells: Sequence[Any]) -> None:
    for row, cell in enumerate(cells):
        if isinstance(cell, str) and (os.path.isabs(cell.strip()) or ".." in Path(cell.strip()).parts):
            raise BadInput(f"{raw.where(row)}: {cell!r} leads out of the archive it came in")


def _check_files_exist(raw: Raw, files: Mapping[str, _Files], kinds: Mapping[str, str], given: Sequence[str]) -> None:
    """Paths to nothing are an error where the column is asked for, or where no other column holds files."""
    lone = not any(kind not in ("label", "number") for kind in kinds.values())
    has_sentences = any(_holds_sentences(cells) for column, cells in raw.columns.items() if column not in files)
    for column, found in files.items():
        is_name = found.kind == TEXT and has_sentences  # which file a text once came from
        if column not in kinds and (column in given or (lone and not is_name)):
            row = found.first_missing
            raise BadInput(
                f"{raw.where(row)}: {column} {str(raw.columns[column][row])!r} is not a file under {found.folder}"
                f" ({found.missing} of {found.sampled} rows looked at are not); data.root=FOLDER says where they are"
            )


def _holds_sentences(cells: Sequence[Any]) -> bool:
    sample = [cell for cell in cells[:SAMPLE] if isinstance(cell, str)]
    return sum(cell.count(" ") for cell in sample) > 2 * len(sample)


def _check_one_label_each(raw: Raw, label: Column, given: Sequence[str], paths: Sequence[str]) -> None:
    """One file with two labels cannot be learned; where more is given than the file, the rest may tell them apart."""
    if len(given) != 1 or given[0] not in paths:
        return
    first: dict[str, int] = {}
    for row, path in enumerate(raw.columns[given[0]]):
        answer = label.cells[row]
        if not path or answer is None:
            continue
        earlier = first.setdefault(os.path.normpath(path.strip()), row)
        if label.cells[earlier] != answer:
            raise BadInput(
                f"{raw.where(row)}: {path!r} has the {label.name} {answer!r}, but {label.cells[earlier]!r}"
                f" in {raw.where(earlier)}: one file needs one label"
            )
