"""Find the column that is the answer among columns of text and numbers."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ...finding import BadInput
from ...recipe import DataSection
from ...table import OWNERS
from .languages import is_language
from .raw import Raw

__all__ = ["label_cells", "pick_label"]

_LABEL_NAMES = ("label", "class", "category", "target", "y")
MAX_CLASSES = 1000  # distinct values of a column that is taken for a label without being asked for
_MANY = 20  # distinct fractions from which a column measures something rather than names classes
_LONG = 40  # mean characters of text that is no class name
_WORDY = 3  # mean words above which text that nobody calls a label is sentences, however often they come back
_TEXT_NAMES = ("text", "sentence", "document", "transcript", "transcription", "utterance")


@dataclass(frozen=True)
class _Facts:
    """What the values of a column are: `number` or `text`, whether fractions occur, and how many distinct ones."""

    kind: str
    fractions: bool
    distinct: int
    rows: int
    mean_length: float
    mean_words: float
    mostly_numbers: bool
    """Whether nine in ten are numbers, so that the others are mistakes."""

    @property
    def few(self) -> bool:
        """So few that rows share them, as they share a class."""
        return 2 <= self.distinct <= min(MAX_CLASSES, max(2, self.rows // 2)) and self.distinct < self.rows

    @property
    def measures(self) -> bool:
        return self.fractions and self.distinct > _MANY

    @property
    def is_prose(self) -> bool:
        """Text of which nearly every row is another: sentences, not names of classes."""
        repeated = self.distinct <= min(MAX_CLASSES, self.rows // 2)
        return self.kind == "text" and not repeated and (self.distinct > MAX_CLASSES or self.mean_length > _LONG)

    @property
    def may_be_label(self) -> bool:
        return not self.measures and self.mean_length <= _LONG

    @property
    def names_classes(self) -> bool:
        return self.may_be_label and self.mean_words <= _WORDY


def pick_label(
    raw: Raw, columns: Mapping[str, Sequence[Any]], data: DataSection, given: Sequence[str], *, is_lone: bool = False
) -> tuple[str | None, dict[str, str]]:
    """The column that is the answer, if any, and the kind of every other one: `text`, `number` or `nested`.

    A lone column, columns called text and columns called by languages are no answer unless something says so: they
    are a corpus and its translation. Raises BadInput when several could be the answer and nothing says which.
    """
    facts = {column: _look(cells) for column, cells in columns.items()}
    kinds = {column: found.kind if found else "nested" for column, found in facts.items()}
    known = {column: found for column, found in facts.items() if found}
    has_files = raw.columns.keys() > columns.keys()
    told = {c: kind for c, found in known.items() if has_files and found.mostly_numbers and (kind := _told_kind(c))}
    kinds |= told
    if told and data.answer is None:  # the answer: what else is there goes before it only where it is called a label
        known = {c: found for c, found in known.items() if c.lower() in _LABEL_NAMES}
    if data.answer is not None:
        asked = None if data.answer in told else known.get(data.answer)
        label = data.answer if asked and not asked.measures and not asked.is_prose else None
    else:
        others = {c: found for c, found in known.items() if c not in given and c != data.group}
        label = _likely(raw, {c: found for c, found in others.items() if c.lower() not in OWNERS}, is_lone)
    return label, {column: kind for column, kind in kinds.items() if column != label}


def _likely(raw: Raw, facts: Mapping[str, _Facts], is_lone: bool) -> str | None:
    """By what the source states, else by name, else by values; text goes before numbers."""
    texts = {c for c in raw.columns if is_language(c)}
    texts = (texts if len(texts) > 1 else set()) | {c for c in raw.columns if is_lone or c.lower() in _TEXT_NAMES}
    by_value = {c: found for c, found in facts.items() if c not in texts}
    stated = [column for column in facts if raw.kinds.get(column) == "label"]
    by_name = {column.lower(): column for column in reversed(stated or [c for c in facts if facts[c].may_be_label])}
    for word in _LABEL_NAMES:
        if word in by_name:
            return by_name[word]
    for likely in (
        stated,
        [c for c, found in by_value.items() if found.kind == "text" and found.few and found.names_classes],
        [c for c, found in by_value.items() if found.kind == "number" and found.few and not found.fractions],
    ):
        if len(likely) > 1:
            shown = ", ".join(likely[:10])
            raise BadInput(f"{raw.origin}: each of {shown} could be the answer: say which with data.answer={likely[0]}")
        if likely:
            return likely[0]
    return None


def _told_kind(column: str) -> str | None:
    """The kind of number that a column's name tells of, or None."""
    from ...task import kinds

    return next((key for key, kind in kinds().items() if kind.is_word(column)), None)


def _look(cells: Sequence[Any]) -> _Facts | None:
    """Facts about a column, or None where its cells are neither text nor numbers."""
    fractions = False
    length = words = rows = numbers = 0
    distinct: set[Any] = set()
    for cell in cells:
        if cell is None or cell == "":
            continue
        if isinstance(cell, (list, dict, bytes)):
            return None
        rows += 1
        text = cell if isinstance(cell, str) else str(cell)
        length += len(text)
        words += 1 + text.count(" ")
        if len(distinct) <= MAX_CLASSES:
            distinct.add(text)
        number = _number(text)
        numbers += number is not None
        fractions = fractions or (number is not None and number % 1 != 0)  # NaN and infinity count
    mostly = numbers >= 0.9 * rows > 0
    numeric = numbers == rows > 0 or (mostly and fractions and len(distinct) > _MANY)
    return _Facts(
        "number" if numeric else "text",
        fractions and numeric,
        len(distinct),
        rows,
        length / max(1, rows),
        words / max(1, rows),
        mostly,
    )


def _number(text: str) -> float | None:
    if text in ("True", "False"):
        return float(text == "True")
    try:
        return float(text)
    except ValueError:
        return None


def label_cells(cells: Sequence[Any]) -> list[str | None]:
    """Labels as text: 3.0 as `3`, what is missing as None. Equal labels are one object.

    >>> label_cells(["cat ", 3.0, True, None, float("nan")])
    ['cat', '3', 'True', None, None]
    """
    return [_label(cell) for cell in cells]


def _label(cell: Any) -> str | None:
    if cell is None or (isinstance(cell, float) and math.isnan(cell)):
        return None
    if isinstance(cell, float) and cell.is_integer():
        cell = int(cell)
    return sys.intern(str(cell).strip()) or None
