"""Recordings with what is said in them: transcripts in one file, in a file beside each recording, or in their names.

    clips/a.wav  clips/a.txt                   a file beside each (.txt or .lab)
    metadata.csv: a|Printed text.|said text    LJ Speech; also `a<TAB>text` and, as LibriSpeech has it, `a text`
    7_jackson_32.wav                           DIGIT_SPEAKER_INDEX, the Free Spoken Digit Dataset
    0_1_1_0_1_0_0_1.wav                        Kaldi's yesno: eight words, 1 for yes

Rows are the recordings and the transcripts: one without the other is a row that cannot be read, and is named.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ...finding import BadInput, Finding
from ...table import Column, Table
from .archive import extract, is_archive
from .cells import PathCells
from .columns import SPLIT_WORDS
from .folder import is_hidden, scan
from .lines import text_lines
from .media import is_about, kind_of_path, kind_suffixes
from .tables import TABLE_SUFFIXES

__all__ = ["transcript_table"]

SOUND = "audio"
MANY = 0.5  # of the recordings that have to have a transcript
SHOWN = 20
MAX_TRANSCRIPT = 1 << 20  # bytes of a file beside a recording
_BESIDE = (".txt", ".lab")
_LISTS = (".csv", ".tsv", ".txt")
_DIGIT = re.compile(r"(\d)_([^\W\d_]+)_(\d+)")
_YESNO = re.compile(r"[01](?:_[01]){7}")
_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_DIGIT_TESTS = 5  # recordings of each digit and speaker that the set's own split tests on: those numbered 0 to 4

Found = tuple[Table, list[Finding]]


def transcript_table(folder: Path, name: str, shown: str) -> Found | None:
    """The table of a folder of recordings, or of one with an archive of them beside words about it; None where nothing
    says what is said. Raises BadInput where two recordings have one name, and a transcript could mean either.
    """
    root = _sounds_root(folder)
    if root is None:
        return None
    sounds = scan(root, {suffix: kind for suffix, kind in kind_suffixes().items() if kind == SOUND}).files
    if not sounds:
        return None
    if found := _by_name(root, sounds, name, shown):
        return found
    if texts := _beside(root, sounds):
        return _table(root, name, shown, sounds, texts)
    if texts := _listed(sorted({folder, root}), root, sounds):
        return _table(root, name, shown, sounds, texts)
    return None


def _sounds_root(folder: Path) -> Path | None:
    """The folder itself, or the one archive that it holds beside tables, texts and words about them."""
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name) and not is_about(entry.name)]
    archives = [entry for entry in entries if is_archive(entry.name) and entry.is_file()]
    if not archives:
        return folder
    others = [e for e in entries if e not in archives and not e.name.lower().endswith((*TABLE_SUFFIXES, ".txt"))]
    if len(archives) > 1 or others:
        return None
    suffixes = kind_suffixes()
    inside = extract(archives[0])
    kinds = Counter(kind_of_path(name, suffixes) for _, _, names in os.walk(inside) for name in names)
    return inside if kinds[SOUND] and kinds[SOUND] >= sum(kinds.values()) / 3 else None


def _stem(path: str) -> str:
    return os.path.splitext(os.path.basename(path))[0]


def _by_name(root: Path, sounds: Sequence[str], name: str, shown: str) -> Found | None:
    stems = [_stem(path) for path in sounds]
    if len(sounds) < 2:
        return None
    columns: dict[str, Sequence[Any]] = {}
    if all(matches := [_DIGIT.fullmatch(stem) for stem in stems]):
        parts = [match.groups() for match in matches if match]
        columns = {"label": [p[0] for p in parts], "text": [_DIGITS[int(p[0])] for p in parts]}
        columns["speaker"] = [p[1] for p in parts]
        split = ["test" if int(p[2]) < _DIGIT_TESTS else "" for p in parts]
        form = f"DIGIT_SPEAKER_INDEX; as the set's authors have it, numbers 0 to {_DIGIT_TESTS - 1} are the test"
        told = "digits, speakers and the split"
    elif all(_YESNO.fullmatch(stem) for stem in stems):
        columns = {"text": [" ".join("yes" if d == "1" else "no" for d in stem.split("_")) for stem in stems]}
        first_test = len(stems) // 2 + 1
        split = ["test" if row >= first_test else "" for row in range(len(stems))]
        form, told = (
            f"1 for yes; as Kaldi has it, the last {len(stems) - first_test} are the test",
            "words and the split",
        )
    if not columns or ("label" in columns and len(set(columns["label"])) < 2):
        return None
    if "test" not in split or "" not in split:
        split = [""] * len(stems)
    message = f"{shown}: {told} are read from the names of files: {form}"
    notes = [Finding("names-read", "note", message, {"files": len(sounds), "first": sounds[0]})]
    made = {SOUND: Column(SOUND, SOUND, PathCells(root, sounds))}
    kinds = {"label": "label"}
    made |= {column: Column(column, kinds.get(column, "text"), cells) for column, cells in columns.items()}
    defaults = {"network.stride": 2} if "label" in columns else {}  # single digits are short: 0.14 s and more
    return Table(name, made, split, lambda row: os.path.join(shown, sounds[row]), defaults), notes


def _beside(root: Path, sounds: Sequence[str]) -> dict[str, Any]:
    """Recording or transcript without its suffix -> what is said, from files beside the recordings."""
    bases = {os.path.splitext(path)[0] for path in sounds}
    folders = {os.path.dirname(path) for path in sounds}
    texts: dict[str, Any] = {}
    for inner in sorted(folders):
        for entry in sorted(os.listdir(root / inner)):
            base, suffix = os.path.splitext(os.path.join(inner, entry))
            if suffix.lower() in _BESIDE and not is_about(entry) and not is_hidden(entry):
                texts[base] = _content(root / inner / entry)
    return texts if sum(base in texts for base in bases) > MANY * len(bases) else {}


def _content(path: Path) -> str | None:
    if path.stat().st_size > MAX_TRANSCRIPT:
        return None
    try:
        return path.read_text(encoding="utf-8-sig").strip() or None
    except UnicodeDecodeError:
        return None


def _listed(folders: Sequence[Path], root: Path, sounds: Sequence[str]) -> dict[str, Any]:
    """The same from lists of `NAME|text`, `NAME<TAB>text` or `NAME text`, in these folders or beside recordings."""
    by_stem: dict[str, str] = {}
    twice = []
    for path in sounds:
        base = os.path.splitext(path)[0]
        twice += [path] if by_stem.setdefault(_stem(path), base) != base else []
    places = {*folders, *(root / os.path.dirname(path) for path in sounds)}
    texts: dict[str, Any] = {}
    for place in sorted(places):
        for entry in sorted(os.listdir(place)):
            file = place / entry
            if entry.lower().endswith(_LISTS) and file.is_file() and not is_about(entry) and not is_hidden(entry):
                texts |= _list_of(file, by_stem)
    if sum(base in texts for base in by_stem.values()) <= MANY * len(by_stem):
        return {}
    if twice:
        raise BadInput(f"{root / twice[0]}: another recording is called so too: which of them does a transcript mean?")
    return texts


def _list_of(path: Path, by_stem: Mapping[str, str]) -> dict[str, str | None]:
    lines = [line.strip() for line in text_lines(path) if line.strip()]
    for mark in ("|", "\t", " "):
        pairs = [_pair(line, mark) for line in lines]
        known = sum(stem in by_stem for stem, _ in pairs)
        if known and known > MANY * len(pairs):
            if pairs[0][0] not in by_stem and known == len(pairs) - 1:  # a header
                pairs = pairs[1:]
            return {by_stem.get(stem, stem): text for stem, text in pairs}
    return {}


def _pair(line: str, mark: str) -> tuple[str, str | None]:
    """The name and the last field: where there are two texts, the second is written as it is said."""
    stem, _, rest = line.partition(mark)
    text = rest.rpartition("|")[2] if mark == "|" else rest
    return stem.strip(), text.strip() or None


def _table(root: Path, name: str, shown: str, sounds: Sequence[str], texts: Mapping[str, Any]) -> Found:
    by_base = {os.path.splitext(path)[0]: path for path in sounds}
    silent = [base for base in texts if base not in by_base]
    untold = [path for base, path in by_base.items() if base not in texts]
    paths = [*sounds, *silent]
    said = [texts.get(os.path.splitext(path)[0]) for path in sounds] + [texts[base] for base in silent]
    cells = PathCells(root, [*sounds, *("" for _ in silent)])
    columns = {SOUND: Column(SOUND, SOUND, cells), "text": Column("text", "text", said)}
    table = Table(name, columns, _splits(paths), lambda row: os.path.join(shown, paths[row]))
    return table, list(_notes(shown, untold, silent))


def _splits(paths: Sequence[str]) -> list[str]:
    tops = {path.split("/", 1)[0].lower() for path in paths if "/" in path}
    if "train" not in {SPLIT_WORDS.get(top) for top in tops} or len(tops) < 2:
        return [""] * len(paths)
    return [SPLIT_WORDS.get(path.split("/", 1)[0].lower(), "") if "/" in path else "" for path in paths]


def _notes(shown: str, untold: Sequence[str], silent: Sequence[str]) -> Iterator[Finding]:
    if untold:
        message = f"{shown}: {len(untold)} recordings have no transcript, e.g. {untold[0]}"
        yield Finding(
            "without-transcript", "warning", message, {"paths": list(untold[:SHOWN])}, "write down what is said"
        )
    if silent:
        message = f"{shown}: {len(silent)} transcripts have no recording, e.g. {silent[0]}"
        yield Finding("without-recording", "warning", message, {"names": list(silent[:SHOWN])}, "look for the files")
