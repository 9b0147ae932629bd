"""Files of tracks into a table, a recording a row: one file, a folder, or folders called train, val and test."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from ...finding import BadInput, Finding, GateFailed
from ...kind import Unreadable
from ...kinds._tracks import FAULTS, MAX_BYTES, QUARANTINED, Recording, is_tracks, read_tracks
from ...table import Column, Table
from .columns import SPLIT_WORDS
from .folder import is_hidden
from .media import is_about

__all__ = ["holds_tracks", "track_table"]

SUFFIXES = (".csv", ".tsv", ".txt")
BEGIN = 1 << 14  # bytes by which a file is known
SHOWN = 100


def track_table(path: Path, name: str, max_bad: float) -> tuple[Table, list[Finding]] | None:
    """The recordings of a file or folder; None where it holds no tracks.

    Folders called train, val and test are splits. Rows that are no points are set aside and named in the findings;
    raises GateFailed where they are more than `max_bad` of all, and BadInput where a file cannot be read.
    """
    files = _files_of(path)
    if not _are_tracks(files):
        return None
    recordings: list[Recording] = []
    wheres: list[str] = []
    splits: list[str] = []
    for file, split in files:
        shown = file.name if file == path else str(file.relative_to(path))
        for recording in _read(file, shown):
            recordings.append(recording)
            wheres.append(shown if recording.name == file.stem else f"{shown}, scene {recording.name}")
            splits.append(split or _split(recording.split, shown))
    findings = _findings(recordings)
    _gate(name, recordings, findings, max_bad)
    columns = {role: Column(role, "path", recordings) for role in ("past", "future")}
    return Table(name, columns, splits, wheres.__getitem__), findings


def holds_tracks(path: Path) -> bool:
    """Whether a file or folder holds tracks and nothing else."""
    return _are_tracks(_files_of(path))


def _files_of(path: Path) -> list[tuple[Path, str]]:
    return [(path, "")] if path.is_file() else list(_files(path))


def _are_tracks(files: Sequence[tuple[Path, str]]) -> bool:
    return bool(files) and all(_holds_tracks(file) for file, _ in files)


def _files(folder: Path) -> Iterator[tuple[Path, str]]:
    """The files of a folder, and those of its folders that are called train, val and test, with their splits."""
    for entry in sorted(folder.iterdir()):
        if is_hidden(entry.name) or is_about(entry.name):
            continue
        if entry.is_file():
            yield entry, ""
        elif entry.is_dir() and entry.name.lower() in SPLIT_WORDS:
            inside = [file for file in sorted(entry.iterdir()) if not is_hidden(file.name) and not is_about(file.name)]
            yield from ((file, SPLIT_WORDS[entry.name.lower()]) for file in inside if file.is_file())
        else:
            yield entry, ""  # a folder of something else: no tracks


def _holds_tracks(file: Path) -> bool:
    if not file.is_file() or not file.name.lower().endswith(SUFFIXES):
        return False
    with file.open("rb") as opened:
        begin = opened.read(BEGIN)
    try:
        text = begin.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if error.start < len(begin) - 4:  # else a letter that is cut in two
            return False
        text = begin[: error.start].decode("utf-8-sig")
    return is_tracks(list(islice(text.splitlines(), 50)))


def _read(file: Path, shown: str) -> Sequence[Recording]:
    size = os.path.getsize(file)
    if size > MAX_BYTES:
        raise BadInput(
            f"{file}: {size / 1e6:.0f} MB of tracks; at most {MAX_BYTES / 1e6:.0f} are read: cut it in scenes"
        )
    try:
        return read_tracks(file.read_bytes().decode("utf-8-sig"), file.stem, shown)
    except UnicodeDecodeError as error:
        raise BadInput(f"{file}: not text in UTF-8 (byte {error.start})") from error
    except Unreadable as reason:
        raise BadInput(f"{file}: {reason}") from reason


def _split(word: str, shown: str) -> str:
    if word and word not in SPLIT_WORDS:
        raise BadInput(f"{shown}: split {word!r} is not one of train, val, test")
    return SPLIT_WORDS.get(word, "")


def _findings(recordings: Sequence[Recording]) -> list[Finding]:
    """What is wrong with the rows, by check; nothing is lost without being named."""
    findings = []
    for check, what in FAULTS.items():
        rows = list(chain.from_iterable(recording.faults.get(check, ()) for recording in recordings))
        if not rows:
            continue
        note = check in ("gaps", "lone-points", "repeated-points")
        aside = "; set aside" if check in QUARANTINED else ""
        message = f"{len(rows):,} {what}{aside}, e.g. {rows[0]}"
        evidence = {"rows": rows[:SHOWN], "count": len(rows)}
        fix = "" if note else "mend or remove them"
        findings.append(Finding(check, "note" if note else "warning", message, evidence, fix))
    return findings


def _gate(name: str, recordings: Sequence[Recording], findings: Sequence[Finding], max_bad: float) -> None:
    bad = [fault for check in QUARANTINED for recording in recordings for fault in recording.faults.get(check, ())]
    total = sum(recording.num_points for recording in recordings)
    if len(bad) > max_bad * total:
        raise GateFailed(
            f"{name}: {len(bad)} of {total} rows are no points, more than data.max_bad={max_bad:g}; e.g. {bad[0]}",
            findings,
        )
