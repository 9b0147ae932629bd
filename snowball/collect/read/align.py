"""Films and the times of their words, as GRID (Cooke et al., 2006) has them: `bbaf2n.mpg` and `bbaf2n.align`.

An .align file has a line a word, `BEGIN END WORD`, in 1/25,000 s (1/1000 of a frame); `sil` and `sp` are silence. It
says what is said where nothing else does, and otherwise is held against what does. One that ends well before or after
its film is of another film, or was cut short: what it says is not learned from.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ...finding import BadInput, Finding
from ...kind import Unreadable
from ...kinds._video_file import opened
from ...table import Column, Table
from .cells import PathCells
from .folder import scan
from .lines import text_lines
from .media import kind_suffixes

__all__ = ["Alignment", "align_notes", "align_table", "read_align"]

UNITS = 25_000.0  # a second
SILENCE = ("sil", "sp")
SLACK = 0.2  # seconds that the last word's end and the film's may be apart: GRID's are one frame
MAX_WORDS = 10_000
SHOWN = 20
FILM = "video"


class Alignment(NamedTuple):
    """What is said, and when the last silence or word ends, in seconds."""

    text: str
    end: float


def read_align(path: Path) -> Alignment:
    """The content of an .align file. Raises BadInput, naming the line."""
    words: list[str] = []
    last = 0.0
    for number, line in enumerate(text_lines(path), 1):
        if not line.strip():
            continue
        parts = line.split()
        try:
            begin, end = float(parts[0]), float(parts[1])
            word = parts[2]
        except (IndexError, ValueError):
            raise BadInput(f"{path}, line {number}: {line.strip()[:60]!r} is not BEGIN END WORD") from None
        if not last - 1 <= begin <= end < 1e9 or len(words) > MAX_WORDS:
            raise BadInput(f"{path}, line {number}: {begin:g} to {end:g} does not follow {last:g}")
        last = end
        words += [] if word.lower() in SILENCE else [word]
    return Alignment(" ".join(words), last / UNITS)


def align_table(folder: Path, name: str, shown: str) -> tuple[Table, list[Finding]] | None:
    """The table of films whose words stand in .align files, beside them or in a folder of their own; None for others.

    A film without one, and one without its film, are rows that cannot be read, and are named.
    """
    films, aligns = _films(folder), _aligns(folder)
    pairs = _pairs(films, aligns)
    if not films or 2 * len(pairs) <= len(films):
        return None
    texts: list[str | None] = []
    notes: list[Finding] = []
    broken: dict[str, str] = {}
    for film in films:
        found = _checked(folder, film, pairs.get(film), broken)
        texts.append(found.text if found else None)
    lone = sorted(set(aligns) - set(pairs.values()))
    paths = [*films, *lone]
    texts += [_text_of(folder / path) for path in lone]
    columns = {
        FILM: Column(FILM, FILM, PathCells(folder, [*films, *("" for _ in lone)])),
        "text": Column("text", "text", texts),
    }
    owners = [os.path.basename(os.path.dirname(path)) for path in paths]
    if len(set(owners[: len(films)])) > 1:
        columns["speaker"] = Column("speaker", "text", owners)
    notes += _broken(shown, broken)
    notes += _alone(shown, [film for film in films if film not in pairs], lone)
    return Table(name, columns, [""] * len(paths), lambda row: os.path.join(shown, paths[row])), notes


def align_notes(folder: Path, table: Table, shown: str) -> list[Finding]:
    """What is wrong between a table of films with words and what stands in its folder: films that it leaves out, and
    .align files that say something else, or end at another time than their film.
    """
    column = next((one for one in table.columns.values() if one.kind == FILM), None)
    texts = [one for one in table.columns.values() if one.kind == "text"]
    if column is None or not texts or any(one.kind == "label" for one in table.columns.values()):
        return []
    if not all(isinstance(cell, str) or cell is None for cell in column.cells[:SHOWN]):
        return []
    films = _films(folder)
    rows = {os.path.relpath(cell, folder): row for row, cell in enumerate(column.cells) if cell}
    left_out = [film for film in films if film not in rows]
    pairs = _pairs([film for film in films if film in rows], _aligns(folder))
    broken: dict[str, str] = {}
    others = []
    for film, align in pairs.items():
        found = _checked(folder, film, align, broken)
        said = [str(one.cells[rows[film]] or "").lower().split() for one in texts]
        if found and found.text.lower().split() not in said:
            others.append(f"{align}: {found.text}")
    notes = [*_broken(shown, broken, used=True), *_alone(shown, left_out, [])]
    if others:
        message = f"{shown}: {len(others)} .align files say something else than the table, e.g. {others[0]}"
        notes.append(
            Finding("align-differs", "warning", message, {"files": others[:SHOWN]}, "see which of them is right")
        )
    return notes


def _films(folder: Path) -> list[str]:
    return scan(folder, {suffix: kind for suffix, kind in kind_suffixes().items() if kind == FILM}).files


def _aligns(folder: Path) -> list[str]:
    return scan(folder, {".align": "align"}).files


def _pairs(films: Sequence[str], aligns: Sequence[str]) -> dict[str, str]:
    """Film -> its .align: of the same name in a folder of the same name, else of a name that only it has.

    Speakers say the same sentences, so that one name may stand in many folders. A film may have a prefix to its name.
    """

    def key(path: str) -> tuple[str, str]:
        return os.path.basename(os.path.dirname(path)), os.path.splitext(os.path.basename(path))[0]

    placed = {key(path): path for path in aligns}
    counts = Counter(stem for _, stem in placed)
    lone = {stem: path for (_, stem), path in placed.items() if counts[stem] == 1}
    pairs: dict[str, str] = {}
    for film in films:
        place, stem = key(film)
        found = placed.get((place, stem)) or lone.get(stem) or lone.get(stem.rpartition("_")[2])
        if found is not None:
            pairs[film] = found
    return pairs


def _checked(folder: Path, film: str, align: str | None, broken: dict[str, str]) -> Alignment | None:
    """What an .align says of its film; None, and why in `broken`, where it cannot be of it."""
    if align is None:
        return None
    try:
        found = read_align(folder / align)
        seconds = _seconds(folder / film)
    except BadInput as reason:
        broken[align] = str(reason)
        return None
    if seconds is not None and abs(found.end - seconds) > SLACK:
        when = "before" if found.end < seconds else "after"
        broken[align] = f"ends at {found.end:.2f} s, {abs(seconds - found.end):.2f} s {when} its film {film}"
        return None
    return found


def _text_of(path: Path) -> str | None:
    try:
        return read_align(path).text
    except BadInput:
        return None


def _seconds(path: Path) -> float | None:
    """How long a film is, by its header; None where it does not say so, or cannot be read, which its row then says."""
    try:
        with opened(path) as (container, stream):
            if stream.duration is not None:
                return float(stream.duration * stream.time_base)
            return container.duration / 1e6 if container.duration else None
    except (Unreadable, OSError):
        return None


def _broken(shown: str, broken: Mapping[str, str], *, used: bool = False) -> list[Finding]:
    if not broken:
        return []
    path, reason = next(iter(broken.items()))
    message = f"{shown}: {len(broken)} .align files do not fit their films, e.g. {path}: {reason}"
    message += "; the table's words are used" if used else "; these films are set aside"
    evidence: dict[str, Any] = {"files": dict(list(broken.items())[:SHOWN]), "count": len(broken)}
    return [Finding("align-broken", "warning", message, evidence, "mend or remove them")]


def _alone(shown: str, untold: Sequence[str], lone: Sequence[str]) -> list[Finding]:
    notes = []
    if untold:
        message = f"{shown}: {len(untold)} films have no transcript, e.g. {untold[0]}"
        fix = "write down what is said"
        notes.append(Finding("without-transcript", "warning", message, {"paths": list(untold[:SHOWN])}, fix))
    if lone:
        message = f"{shown}: {len(lone)} transcripts have no film, e.g. {lone[0]}"
        notes.append(
            Finding("without-recording", "warning", message, {"names": list(lone[:SHOWN])}, "look for the films")
        )
    return notes
