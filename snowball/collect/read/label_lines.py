"""Files of labelled lines: `LABEL text`, `label<TAB>text` or `text<TAB>label`, one file or one a split."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Sequence
from pathlib import Path

from ...finding import BadInput, Finding
from ...table import Column, Table
from .cells import ChainedCells
from .label_form import LabelForm
from .split_names import assign_splits
from .text_file import TextFile, encoding_findings

__all__ = ["LABELLED_FORMS", "label_table"]

LABELLED_FORMS = "lines of `LABEL text`, `label<TAB>text` or `text<TAB>label`"
_SHOWN = 20


def label_table(name: str, folder: Path, labelled: Sequence[tuple[TextFile, LabelForm]]) -> tuple[Table, list[Finding]]:
    """The table of one or more files of labelled lines: columns `text` and `label`, and `fine` where labels are A:b.

    Blank lines are passed over. A line without a label, or without a text, is a row that its kind refuses by name.
    """
    forms = {form.shown for _, form in labelled}
    if len(forms) > 1:
        named = "; ".join(f"{file.path.name}: {form.shown}" for file, form in labelled[:10])
        raise BadInput(f"{folder}: files of different forms ({named}): every file should have one form")
    files = [file for file, _ in labelled]
    splits, notes = assign_splits(folder, [file.path.name for file in files])
    texts: list[str] = []
    labels: list[str | None] = []
    numbers: list[array[int]] = []
    row_splits: list[str] = []
    for (file, form), split in zip(labelled, splits, strict=True):
        file.check_lines()
        rows = array("L")
        for number, line in enumerate(file.lines(), 1):
            if not line.strip():
                continue
            label, text = form.split(line)
            texts.append(text)
            labels.append(sys.intern(label) if label else None)
            rows.append(number)
        numbers.append(rows)
        row_splits += [split] * len(rows)
    places = ChainedCells(numbers)

    def where(row: int) -> str:
        return f"{files[places.locate(row)[0]].path.name}, line {places[row]}"

    columns = {"text": Column("text", "text", texts)}
    coarse = _coarse(labels)
    columns["label"] = Column("label", "label", coarse or labels)
    if coarse:
        columns["fine"] = Column("fine", "label", labels)
    findings = [_told(files, labelled[0][1], columns), *notes, *encoding_findings(files)]
    return Table(name, columns, row_splits, where), findings


def _coarse(labels: Sequence[str | None]) -> list[str | None] | None:
    """The A of labels that all have the form A:b, where there are two or more such A; else None."""
    names = {label for label in labels if label}
    parts = {name: name.partition(":") for name in names}
    if not all(coarse and fine for coarse, _, fine in parts.values()):
        return None
    coarse_of = {name: sys.intern(part[0]) for name, part in parts.items()}
    if len(set(coarse_of.values())) < 2:
        return None
    return [coarse_of[label] if label else None for label in labels]


def _told(files: Sequence[TextFile], form: LabelForm, columns: dict[str, Column]) -> Finding:
    """What the files were taken for, so that a person sees it where it is wrong."""
    counts = {name: len({cell for cell in columns[name].cells if cell}) for name in columns if name != "text"}
    held = f"{counts['label']} labels"
    fix = ""
    if "fine" in counts:
        held = f"{counts['label']} labels A, taken from {counts['fine']} of the form A:b, which are the column fine"
        fix = "data.answer=fine for those"
    name = files[0].path.name + (f" and {len(files) - 1} more" if len(files) > 1 else "")
    message = f"{name}: read as lines of `{form.shown}`: {len(columns['text'].cells):,} rows, {held}"
    evidence = {"files": [file.path.name for file in files[:_SHOWN]], "form": form.shown, "labels": counts}
    return Finding("labelled-lines", "note", message, evidence, fix)
