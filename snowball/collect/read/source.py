"""Read whatever DATA names into a Table. The way from a name or a path to the reader of its format."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

from ...finding import BadInput, Finding, nearest
from ...recipe import DataSection
from ...table import Table
from .align import align_notes, align_table
from .archive import archive_stem, extract, is_archive
from .boxes import box_table
from .cifar import CIFAR_FILES, cifar_table
from .columns import SPLIT_WORDS, names_files, type_columns
from .documents import DOCUMENT_SUFFIXES
from .folder import class_table, holds_class_folders, holds_files, is_hidden
from .idx import find_pairs, idx_table, is_idx_name, pair_of
from .known import KNOWN, read_known
from .label_lines import LABELLED_FORMS
from .media import TEXT, is_about, kind_suffixes
from .samples import SAMPLES
from .streams import chosen_inputs, with_sound_tracks
from .tables import TABLE_SUFFIXES, find_table_files, read_table_file, read_table_files
from .texts import read_text_folder, read_text_path
from .tracks import holds_tracks, track_table
from .transcripts import transcript_table

__all__ = ["list_sources", "read_table"]

Note = Callable[[Finding], None]

_FORMATS = (
    f"folders of classes, idx files, archives (.zip .tar .tar.gz ...), tables ({' '.join(TABLE_SUFFIXES)}),"
    f" documents ({' '.join(DOCUMENT_SUFFIXES)}), {LABELLED_FORMS},"
    " folders of parallel files (train.en train.de ...), and recordings or films with transcripts"
)


def list_sources() -> list[tuple[str, str, str]]:
    """(name, one line, size and licence) of every sample and known data set."""
    samples = [(name, line, terms) for name, (_, line, terms) in SAMPLES.items()]
    known = [(name, entry.summary, f"{entry.num_bytes / 1e6:.0f} MB; {entry.licence}") for name, entry in KNOWN.items()]
    return samples + known


def read_table(data: DataSection, note: Note | None = None) -> Table:
    """The table that `data.name` names. Reads no cell that is a file; `note` is told what was passed over.

    `hf:NAME` is a Hugging Face data set. A path that exists is read as what it is, even if a sample or a known data
    set has the same name: what a person has put there goes before what is built in. Else a sample, else a known set.
    Raises BadInput, in one line, for all that cannot be read.
    """
    tell = note or (lambda finding: None)
    try:
        table = chosen_inputs(with_sound_tracks(_read(data, tell)), data.inputs)
    except OSError as error:
        raise BadInput(f"{error.filename or data.name}: {error.strerror or error}") from error
    for column in (*(data.given or "").split(","), data.answer, data.group):
        if column:
            table.column(column)
    return table


def _read(data: DataSection, tell: Note) -> Table:
    source = data.name
    if not source:
        raise BadInput("no data: name a sample, a known data set, a path or hf:NAME; `snowball data` lists them")
    if source.startswith("hf:"):
        from .hub import read_hub

        raw, findings = read_hub(source.removeprefix("hf:"))
        table = type_columns(raw, data, source)
        for finding in findings:
            tell(finding)
        return table
    path = Path(source).expanduser()
    if os.path.lexists(path):
        return _read_path(path, data, tell)
    if source in SAMPLES:
        return _sample(source)
    if source in KNOWN:
        return read_known(source, data.root)
    raise BadInput(_unknown(source, path))


@cache
def _sample(name: str) -> Table:
    """A sample, made once in a process: some take seconds."""
    return SAMPLES[name][0]()


def _unknown(source: str, path: Path) -> str:
    names = [*SAMPLES, *KNOWN]
    if path.parent != Path() or path.suffix:
        beside = [str(path.parent / name) for name in os.listdir(path.parent)] if path.parent.is_dir() else []
        return f"{source}: no such file or folder{nearest(str(path), beside)}"
    hint = nearest(source.lower().replace("_", "-"), [*names, *os.listdir()])
    return f"{source}: no such file or folder, and no such sample or data set{hint}; known are {', '.join(names)}"


def _read_path(path: Path, data: DataSection, tell: Note) -> Table:
    name = path.name or path.resolve().name
    if path.is_dir():
        folder = _fold(path, data.fold)
        name = name if folder == path else f"{name}-{folder.name}"
        return _read_folder(folder, data, tell, name, str(folder))
    if not path.is_file():
        raise BadInput(f"{path}: neither a file nor a folder, or a link to nothing")
    if found := track_table(path, name, data.max_bad):
        return _telling(found, tell)
    if path.name.lower().endswith(TABLE_SUFFIXES):
        return type_columns(read_table_file(path), data, name)
    if is_idx_name(path.name):
        return idx_table(name, [pair_of(path)])
    if is_archive(path.name):
        return _read_folder(_top_folder(extract(path)), data, tell, name, str(path), sealed=True)
    if found := read_text_path(path, name):
        return _telling(found, tell)
    raise BadInput(f"{path}: not a format that can be read; what can: {_FORMATS}")


def _fold(folder: Path, fold: str | None) -> Path:
    """The folder itself, or the fold that is asked for; a folder of nothing but folds of tracks needs one to be.

    Folders with train and test in them can be something else, such as the pictures and the labels of YOLO.
    """
    entries = [entry for entry in folder.iterdir() if entry.is_dir() and not is_hidden(entry.name)]
    folds = sorted(entry.name for entry in entries if _holds_splits(entry))
    if fold is not None and fold not in folds:
        known = f"its folds are {', '.join(folds)}" if folds else "it holds no folders with train and test in them"
        raise BadInput(f"{folder}: no fold {fold!r}{nearest(str(fold), folds)}; {known}")
    if fold is None and len(folds) == len(entries) > 1 and holds_tracks(folder / folds[0]):
        raise BadInput(f"{folder}: several folds: {', '.join(folds)}; say which: fold={folds[0]}")
    return folder if fold is None else folder / fold


def _holds_splits(folder: Path) -> bool:
    words = {SPLIT_WORDS.get(entry.name.lower()) for entry in folder.iterdir() if entry.is_dir()}
    return {"train", "test"} <= words


def _read_folder(folder: Path, data: DataSection, tell: Note, name: str, shown: str, *, sealed: bool = False) -> Table:
    """A folder by what stands in it: idx files, CIFAR's files, a table, text, or else folders of classes."""
    if pairs := find_pairs(folder):
        return idx_table(name, pairs)
    if (folder / CIFAR_FILES[0]).is_file():
        return cifar_table(name, folder)
    if found := track_table(folder, name, data.max_bad):
        return _telling(found, tell)
    if found := _annotated(folder, name, shown):
        return _telling(found, tell)
    if found := transcript_table(folder, name, shown):
        return _telling(found, tell)
    if files := find_table_files(folder):
        classes = holds_class_folders(folder)
        if len(files) == 1 or not classes:
            raw = replace(read_table_files(files), sealed=sealed)
            if not classes or names_files(raw, data):
                table = type_columns(raw, data, name)
                return _telling((table, align_notes(folder, table, shown)), tell)
    elif found := align_table(folder, name, shown):
        return _telling(found, tell)
    unpacked = _class_archives(folder)
    found = None if unpacked else read_text_folder(folder, name)
    return _telling(found or class_table(folder, name, shown, unpacked), tell)


def _class_archives(folder: Path) -> dict[str, Path]:
    """Archives that stand where folders of classes are expected, unpacked, by their names: two or more, and no folder.

    What an archive holds counts from inside a folder of its own name: fight.tar may hold fight/1.mp4 or 1.mp4.
    """
    names = sorted(name for name in os.listdir(folder) if is_archive(name) and not is_hidden(name))
    if len(names) < 2 or holds_class_folders(folder):
        return {}
    unpacked: dict[str, Path] = {}
    for name in names:
        stem = archive_stem(name)
        if stem in unpacked:
            raise BadInput(f"{folder}: two archives are called {stem}: which of them is the class?")
        inside = extract(folder / name)
        entries = [entry for entry in inside.iterdir() if not is_hidden(entry.name)]
        own = len(entries) == 1 and entries[0].is_dir() and entries[0].name == stem
        unpacked[stem] = entries[0] if own else inside
    return unpacked


def _annotated(folder: Path, name: str, shown: str) -> tuple[Table, list[Finding]] | None:
    """Pictures with boxes, in the folder or in the one archive that it holds beside tables and words about them."""
    if found := box_table(folder, name, shown):
        return found
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name) and not is_about(entry.name)]
    entries = [entry for entry in entries if not entry.name.lower().endswith(TABLE_SUFFIXES)]
    alone = len(entries) == 1 and is_archive(entries[0].name) and entries[0].is_file()
    return box_table(extract(entries[0]), name, str(entries[0])) if alone else None


def _telling(found: tuple[Table, list[Finding]], tell: Note) -> Table:
    table, findings = found
    for finding in findings:
        tell(finding)
    return table


def _top_folder(folder: Path) -> Path:
    """What an archive holds; where that is one folder which is neither a class nor a split, what that folder holds.

    `flowers/daisy/1.png` holds the folder flowers, whose inside is read; in `daisy/1.png`, daisy is a class.
    """
    entries = [entry for entry in folder.iterdir() if not is_hidden(entry.name)]
    if len(entries) != 1 or not entries[0].is_dir() or entries[0].name.lower() in SPLIT_WORDS:
        return folder
    top = entries[0]
    suffixes = {suffix: kind for suffix, kind in kind_suffixes().items() if kind != TEXT}  # notes and documents
    return folder if holds_files(top, suffixes) and not find_table_files(top) else top
