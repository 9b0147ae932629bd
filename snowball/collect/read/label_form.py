"""Tell files of labelled lines from prose: `LABEL text`, `label<TAB>text` or `text<TAB>label`.

Prose that is taken for labelled lines would teach a network to guess the first word of a sentence, so the tests lean
to prose: a column must say more than chance could before it counts as labels.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

from .answers import MAX_CLASSES

__all__ = ["LabelForm", "find_form", "fits_form"]

MOSTLY = 0.95  # of the lines have the form; the others are set aside and named later
_BLOCKS, _BLOCK = 20, 1000  # lines of a long file that are looked at; sorted files need them from all over
_MAX_LABEL = 40  # characters of a class name
_WEAK_CLASSES = 100  # of labels that look like any other word
_ROWS_A_CLASS = 10  # of such labels, at least

_COARSE_FINE = re.compile(r"[A-Za-z][\w-]*:[A-Za-z][\w-]*")  # NUM:dist, as TREC writes a class and one within it
_FASTTEXT = re.compile(r"__label__\S+")
_NUMBER = re.compile(r"[-+]?\d{1,3}")
_WORD = re.compile(r"[^\W\d][\w+/&.-]*")
_LETTER = re.compile(r"[^\W\d_]")
# Words that begin sentences and name no class; short ones that are codes of languages are left out.
_STARTS = frozenset(("the", "and", "but", "of", "this", "that", "they", "we", "you", "she", "what", "there", "when"))


@dataclass(frozen=True)
class LabelForm:
    """How a line holds a label and a text: `shown` for people, `split` gives (label, text), label None without one."""

    shown: str
    split: Callable[[str], tuple[str | None, str]]


def find_form(lines: Sequence[str]) -> LabelForm | None:
    """The form that the lines of a file have, or None where they are not labelled lines.

    >>> form = find_form(["NUM:dist How far is it ?", "LOC:city Where is it ?"] * 2)
    >>> form.shown, form.split("HUM:desc Who was Galileo ?")
    ('LABEL text', ('HUM:desc', 'Who was Galileo ?'))
    >>> find_form(["The cat sat.", "A dog ran.", "The dog sat.", "A cat ran."]) is None
    True
    """
    rows = [line for line in lines if line.strip()]
    if len(rows) < 2 or len(rows) < MOSTLY * len(lines):  # prose has blank lines between its paragraphs
        return None
    if len(rows) > _BLOCKS * _BLOCK:
        rows = [row for block in range(_BLOCKS) for row in _block(rows, block * len(rows) // _BLOCKS)]
    if sum(row.count("\t") == 1 for row in rows) >= MOSTLY * len(rows):
        return _tab_form(rows)
    return _first_word_form(rows)


def _block(rows: Sequence[str], start: int) -> Sequence[str]:
    return rows[start : start + _BLOCK]


def fits_form(form: LabelForm, lines: Sequence[str], labels: Collection[str | None]) -> bool:
    """Whether nearly every line has one of these labels in this form."""
    rows = [line for line in lines if line.strip()]
    return bool(rows) and sum(form.split(row)[0] in labels for row in rows) >= MOSTLY * len(rows)


def _tab_form(rows: Sequence[str]) -> LabelForm | None:
    forms = (_LAST, _FIRST)
    found: list[tuple[int, float, LabelForm]] = []
    for form in forms:
        pairs = [form.split(row) for row in rows]
        labels = Counter(label for label, _ in pairs if label)
        lengths = sum(len(label) * count for label, count in labels.items())
        if _few(labels, len(rows)) and _is_text([text for _, text in pairs]):
            found.append((len(labels), lengths, form))
    return min(found, key=lambda candidate: candidate[:2])[2] if found else None


def _few(labels: Counter[str], num_rows: int) -> bool:
    """So few, and so short, that rows share them, as they share a class."""
    distinct = len(labels)
    short = all(len(label) <= _MAX_LABEL for label in labels)
    filled = labels.total() >= MOSTLY * num_rows
    return filled and short and 2 <= distinct <= min(MAX_CLASSES, max(2, num_rows // 2)) and distinct < num_rows


def _is_text(texts: Sequence[str]) -> bool:
    """Whether most lines hold letters; columns of measurements do not."""
    return sum(_LETTER.search(text) is not None for text in texts) > len(texts) / 2


def _first_word_form(rows: Sequence[str]) -> LabelForm | None:
    for pattern, is_sure in ((_COARSE_FINE, _always), (_FASTTEXT, _always), (_NUMBER, _not_counted), (_WORD, _no_word)):
        form = _first_word(pattern)
        pairs = [form.split(row) for row in rows]
        labels = [label for label, _ in pairs if label is not None]
        texts = [text for _, text in pairs if text]
        enough = min(len(labels), len(texts)) >= MOSTLY * len(rows)
        coarse = [label.partition(":")[0] for label in labels] if pattern is _COARSE_FINE else labels
        few = _few(Counter(labels), len(rows)) or _few(Counter(coarse), len(rows))
        if enough and few and _is_text(texts) and is_sure(labels, texts):
            return form
    return None


def _always(labels: Sequence[str], texts: Sequence[str]) -> bool:
    return True


def _not_counted(labels: Sequence[str], texts: Sequence[str]) -> bool:
    """Numbers that mostly go up by one count lines or verses."""
    numbers = [int(label) for label in labels]
    ups = sum(after == before + 1 for before, after in pairwise(numbers))
    return 2 * ups < len(numbers) and _repeated(labels)


def _no_word(labels: Sequence[str], texts: Sequence[str]) -> bool:
    """First words that are few, all come back, and are not how sentences begin."""
    if any(label.lower() in _STARTS for label in labels) or not _repeated(labels):
        return False
    if all(label.isupper() and len(label) > 1 for label in labels):
        return not all(text.isupper() for text in texts)
    capitals = sum(label[:1].isupper() for label in labels)
    goes_on = sum(text[:1].islower() for text in texts)
    return not (2 * capitals > len(labels) and 2 * goes_on > len(texts))


def _repeated(labels: Sequence[str]) -> bool:
    """Every label comes back: the first words of prose have a long tail of ones that do not."""
    counts = Counter(labels)
    once = sum(count == 1 for count in counts.values())
    return 20 * once <= len(counts) <= min(_WEAK_CLASSES, len(labels) // _ROWS_A_CLASS)


def _first_word(pattern: re.Pattern[str]) -> LabelForm:
    def split(line: str) -> tuple[str | None, str]:
        first, *rest = line.split(maxsplit=1)
        if not pattern.fullmatch(first) or len(first) > _MAX_LABEL:
            return None, line.strip()
        return first.removeprefix("__label__"), rest[0].rstrip() if rest else ""

    return LabelForm("LABEL text", split)


def _split_last(line: str) -> tuple[str | None, str]:
    text, tab, label = line.rpartition("\t")
    return (label.strip() or None, text.strip()) if tab else (None, line.strip())


def _split_first(line: str) -> tuple[str | None, str]:
    label, tab, text = line.partition("\t")
    return (label.strip() or None, text.strip()) if tab else (None, line.strip())


_LAST = LabelForm("text<TAB>label", _split_last)
_FIRST = LabelForm("label<TAB>text", _split_first)
