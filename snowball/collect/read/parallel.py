"""Parallel files: `train.en`, `train.de`, `val.en`, ... Line n of one language translates line n of the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ...finding import BadInput, Finding
from ...table import Column, Table
from .cells import ChainedCells
from .languages import is_language
from .split_names import assign_splits
from .text_file import TextFile, encoding_findings, read_text_files

__all__ = ["find_parallel", "parallel_table"]

_SHOWN = 20
_BEGINNING = 60  # characters of a line in a message

Parallel = Mapping[str, Mapping[str, Path]]
"""stem -> language -> file."""


def find_parallel(paths: Sequence[Path]) -> dict[str, dict[str, Path]]:
    """The files that are called STEM.LANGUAGE, or STEM.LANGUAGE.gz; empty where no stem has two languages.

    Raises BadInput where a stem lacks a language that another has, and where a file is there plain and gzipped.
    """
    found: dict[str, dict[str, Path]] = {}
    for path in sorted(paths):
        stem, _, language = path.name.removesuffix(".gz").rpartition(".")
        if stem and is_language(language):
            files = found.setdefault(stem, {})
            if language in files:
                raise BadInput(f"{path.parent}: {files[language].name} and {path.name}: keep one of the two")
            files[language] = path
    if not any(len(files) > 1 for files in found.values()):
        return {}
    languages = sorted({language for files in found.values() for language in files})
    for stem, files in found.items():
        if lacking := [language for language in languages if language not in files]:
            there = next(iter(files.values()))
            full = next(other for other in found.values() if lacking[0] in other)
            raise BadInput(
                f"{there.parent}: no {stem}.{lacking[0]} beside {there.name}, but there is {full[lacking[0]].name}:"
                f" every part needs the same languages ({', '.join(languages)})"
            )
    return {stem: {language: found[stem][language] for language in languages} for stem in sorted(found)}


def parallel_table(name: str, parts: Parallel) -> tuple[Table, list[Finding]]:
    """The table of parallel files: a text column a language, a row a line, splits by the names of the files.

    Raises BadInput where the files of one part have different numbers of lines.
    """
    files = [file for part in parts.values() for file in part.values()]
    read = dict(zip(files, read_text_files(files), strict=True))
    languages = list(next(iter(parts.values())))
    cells: dict[str, list[str]] = {language: [] for language in languages}
    names: list[str] = []
    lengths: list[int] = []
    for part in parts.values():
        lines = {language: _lines(read[path]) for language, path in part.items()}
        _check_partners({part[language]: held for language, held in lines.items()})
        for language in languages:
            cells[language] += lines[language]
        names.append(part[languages[0]].name)
        lengths.append(len(lines[languages[0]]))
    rows = ChainedCells([range(1, length + 1) for length in lengths])

    def where(row: int) -> str:
        return f"{names[rows.locate(row)[0]]}, line {rows[row]}"

    splits, notes = assign_splits(files[0].parent, list(parts))
    row_splits = [split for split, length in zip(splits, lengths, strict=True) for _ in range(length)]
    columns = {language: Column(language, "text", held) for language, held in cells.items()}
    table = Table(name, columns, row_splits, where)
    return table, [*notes, *encoding_findings(list(read.values())), *_empty_rows(table)]


def _lines(file: TextFile) -> list[str]:
    file.check_lines()
    return file.lines()


def _check_partners(lines: Mapping[Path, Sequence[str]]) -> None:
    longest, most = max(lines.items(), key=lambda item: len(item[1]))
    shortest, fewest = min(lines.items(), key=lambda item: len(item[1]))
    if len(most) == len(fewest):
        return
    lone = most[len(fewest)]
    shown = lone[:_BEGINNING] + ("..." if len(lone) > _BEGINNING else "")
    raise BadInput(
        f"{longest} has {len(most):,} lines, {shortest.name} {len(fewest):,}: line {len(fewest) + 1} of"
        f" {longest.name} has no partner: {shown!r}; line n of each should say the same"
    )


def _empty_rows(table: Table) -> list[Finding]:
    """Rows that are blank in one language or more. They stay: whoever reads the row sets it aside, by name."""
    blank = [
        (row, [language for language, column in table.columns.items() if not column.cells[row].strip()])
        for row in range(len(table))
        if not all(column.cells[row].strip() for column in table.columns.values())
    ]
    if not blank:
        return []
    row, languages = blank[0]
    rows = "1 row is" if len(blank) == 1 else f"{len(blank):,} rows are"
    message = f"{table.name}: {rows} blank in a language, e.g. {table.where(row)} in {', '.join(languages)}"
    named = [{"where": table.where(row), "blank": languages} for row, languages in blank[:_SHOWN]]
    fix = "fill or remove these lines in every language"
    return [Finding("empty-rows", "warning", message, {"rows": named, "count": len(blank)}, fix)]
