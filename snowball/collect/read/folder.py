"""A folder of files by class, such as `root/CLASS/1.png`, or `root/train/CLASS/1.png` with `root/test/CLASS/2.png`."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ...finding import BadInput, Finding
from ...registry import kinds
from ...table import Column, Table
from .archive import is_archive
from .columns import SPLIT_WORDS
from .media import TEXT, is_about, kind_of_path, kind_suffixes, path_cells
from .parts import recordings

__all__ = ["class_table", "holds_class_folders", "holds_files", "is_hidden", "is_utf8", "scan"]

SHOWN = 20  # names in a message or a finding's evidence


@dataclass
class Scan:
    """The files below a folder that some kind can read, as sorted paths relative to it, and what was passed over."""

    root: Path
    files: list[str] = field(default_factory=list)
    kinds: Counter[str] = field(default_factory=Counter)
    skipped: Counter[str] = field(default_factory=Counter)
    links: list[str] = field(default_factory=list)
    unpacked: Mapping[str, Path] = field(default_factory=dict)
    """Folders that stand elsewhere and are read as if they stood below the root, by name: unpacked archives."""

    def place(self, path: str) -> str:
        """A path as it is joined to the root: itself, or where an unpacked archive really is."""
        top, _, inside = path.partition("/")
        return str(self.unpacked[top] / inside) if top in self.unpacked else path

    def add(self, name: str, other: Scan) -> None:
        """What was found elsewhere, as a folder of this name."""
        self.files += [f"{name}/{path}" for path in other.files]
        self.links += [f"{name}/{path}" for path in other.links]
        self.kinds += other.kinds
        self.skipped += other.skipped


def is_hidden(name: str) -> bool:
    """Hidden files, and the folder that macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def scan(root: Path, suffixes: Mapping[str, str]) -> Scan:
    """Walk a folder in sorted order. Links to folders, and links that lead outside, are not followed."""
    found = Scan(root)
    inside = os.path.realpath(root)
    folders = [""]
    while folders:
        relative = folders.pop()
        with os.scandir(root / relative) as entries:
            for entry in entries:
                path = f"{relative}{entry.name}"
                if is_hidden(entry.name):
                    continue
                if entry.is_symlink() and not _leads_to_file_inside(entry.path, inside):
                    found.links.append(path)
                elif entry.is_dir():
                    folders.append(f"{path}/")
                elif is_about(entry.name) and entry.name.lower().endswith(".txt"):
                    continue
                elif (kind := kind_of_path(entry.name, suffixes)) and entry.is_file() and is_utf8(path):
                    found.files.append(path)
                    found.kinds[kind] += 1
                else:
                    found.skipped[_suffix(entry.name)] += 1
    found.files.sort(key=lambda path: path.split("/"))
    found.links.sort()
    return found


def _suffix(path: str) -> str:
    return os.path.splitext(path)[1].lower().encode(errors="replace").decode() or "no suffix"


def is_utf8(name: str) -> bool:
    """Names in another encoding could not be written to a report."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _leads_to_file_inside(link: str, root: str) -> bool:
    target = os.path.realpath(link)
    return os.path.isfile(target) and os.path.commonpath((target, root)) == root


def holds_class_folders(root: Path) -> bool:
    """Whether two folders or more, right below this one, directly hold files that a kind can read.

    Text does not count: beside a table, folders hold notes and requirements.txt more often than classes of documents.
    """
    suffixes = {suffix: kind for suffix, kind in kind_suffixes().items() if kind != TEXT}
    with os.scandir(root) as entries:
        folders = [entry.path for entry in entries if _is_plain_folder(entry)]
    return sum(holds_files(folder, suffixes) for folder in folders) > 1


def holds_files(folder: str | Path, suffixes: Mapping[str, str]) -> bool:
    """Whether a folder directly holds a file that a kind can read."""
    with os.scandir(folder) as entries:
        return any(kind_of_path(entry.name, suffixes) and not is_hidden(entry.name) for entry in entries)


def _is_plain_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False) and not is_hidden(entry.name)


def class_table(
    root: Path, name: str, shown: str, unpacked: Mapping[str, Path] | None = None
) -> tuple[Table, list[Finding]]:
    """The table of a folder whose files stand in one folder a class, and notes on what was passed over.

    The class is the first folder on the way to a file, or the second where the first is train, val or test.
    `shown` is how rows name the folder; `unpacked` holds archives that stand for folders of theirs, by name.
    Raises BadInput where there is nothing to read or only one class.
    """
    suffixes = kind_suffixes()
    found = scan(root, suffixes)
    found.unpacked = unpacked or {}
    if found.unpacked:
        found.skipped -= Counter(_suffix(name) for name in os.listdir(root) if is_archive(name))
    for top, folder in found.unpacked.items():
        found.add(top, scan(folder, suffixes))
    if not found.files:
        raise BadInput(_nothing(found, shown, suffixes))
    kind = _main_kind(found.kinds)
    files = [path for path in found.files if kind_of_path(path, suffixes) == kind]
    found.skipped.update(_suffix(path) for path in found.files if kind_of_path(path, suffixes) != kind)
    roles = _split_folders(files, shown)
    paths: list[str] = []
    labels: list[str] = []
    splits: list[str] = []
    loose: list[str] = []
    names: dict[str, str] = {}  # one string object a class
    for path in files:
        parts = path.split("/")
        split = roles.get(parts[0], "")
        inner = parts[1:] if split else parts
        if len(inner) < 2:
            loose.append(path)
            continue
        paths.append(path)
        labels.append(names.setdefault(inner[0], inner[0]))
        splits.append(split)
    if len(names) < 2:
        raise BadInput(_too_few_classes(root, shown, list(names), loose, kind))
    cells = path_cells(kind, root, [found.place(path) for path in paths] if found.unpacked else paths)
    columns = {kind: Column(kind, kind, cells), "label": Column("label", "label", labels)}
    groups = recordings(paths, labels) if kinds()[kind].timed else None
    table = Table(name, columns, splits, lambda row: os.path.join(shown, paths[row]), groups=groups)
    notes = list(_notes(found, shown, loose, _empty_classes(found, roles, set(names))))
    return table, notes if groups is None else [*notes, _grouped(shown, groups)]


def _grouped(shown: str, groups: Sequence[str]) -> Finding:
    message = (
        f"{shown}: {len(groups)} files are taken for parts of {len(set(groups))} recordings, since their names"
        " differ in a last number alone; a recording stays in one split"
    )
    return Finding("grouped-files", "note", message, {"recordings": sorted(set(groups))[:SHOWN]})


def _main_kind(kinds: Counter[str]) -> str:
    """The kind of most files. A picture may have its caption and its boxes beside it in .txt files: text yields."""
    others = Counter({kind: count for kind, count in kinds.items() if kind != TEXT})
    if others and kinds[TEXT] <= 2 * others.total():
        return others.most_common(1)[0][0]
    return kinds.most_common(1)[0][0]


def _split_folders(files: Sequence[str], shown: str) -> dict[str, str]:
    """Top folder -> split, where the top folders are splits; else nothing.

    They are where all of them are called so and hold folders of classes, or where train stands beside val or test.
    A class may be called train: beside classes of other names, and without a val or test, it is one.
    """
    tops = {path.split("/", 1)[0] for path in files if "/" in path}
    roles = {top: SPLIT_WORDS[top.lower()] for top in sorted(tops) if top.lower() in SPLIT_WORDS}
    others = sorted(tops - roles.keys())
    if others and not ("train" in roles.values() and len(set(roles.values())) > 1):
        return {}
    if not others and not any(path.count("/") > 1 for path in files):
        return {}
    if others:
        named = " and ".join(roles)
        raise BadInput(f"{shown}: folder {others[0]!r} stands beside {named}: is it a class or a split? Move it away")
    if len(set(roles.values())) < len(roles):
        raise BadInput(f"{shown}: folders {', '.join(roles)}: two of them name the same split")
    return roles


def _empty_classes(found: Scan, roles: Mapping[str, str], classes: set[str]) -> list[str]:
    """Folders where a class is expected that hold nothing of the kind in any split."""
    places = [found.unpacked.get(top, found.root / top) for top in roles] or [found.root]
    names: set[str] = set()
    for place in places:
        with os.scandir(place) as entries:
            names |= {entry.name for entry in entries if _is_plain_folder(entry)}
    return sorted(names - classes - roles.keys())


def _nothing(found: Scan, shown: str, suffixes: Mapping[str, str]) -> str:
    known = " ".join(sorted(suffixes))
    if found.links:
        return f"{shown}: nothing but links that lead out of it, e.g. {found.links[0]}: give the folder they lead to"
    if found.skipped:
        held = ", ".join(f"{count} x {suffix}" for suffix, count in found.skipped.most_common(5))
        return f"{shown}: no file that can be read, only {held}; what can ends in {known}, or is a table or an archive"
    return f"{shown}: an empty folder; it should hold one folder of files a class, or a table"


def _too_few_classes(root: Path, shown: str, classes: Sequence[str], loose: Sequence[str], kind: str) -> str:
    if not classes:
        return f"{shown}: {len(loose)} {kind} files, but no folders of classes: the folder a file is in names its label"
    only = classes[0]
    message = f"{shown}: only one class ({only!r}): a classifier needs at least two"
    if (root / only).is_dir() and holds_class_folders(root / only):
        message += f"; the folders of classes stand one deeper: give {os.path.join(shown, only)}"
    elif kind == TEXT and (root / only).is_dir():
        message += f"; as documents without labels: give {os.path.join(shown, only)}"
    return message


def _notes(found: Scan, shown: str, loose: Sequence[str], empty: Sequence[str]) -> Iterator[Finding]:
    if found.skipped:
        held = ", ".join(f"{count} x {suffix}" for suffix, count in found.skipped.most_common(5))
        message = f"{shown}: {found.skipped.total()} files passed over: {held}"
        yield Finding("skipped-files", "note", message, {"suffixes": dict(found.skipped.most_common(SHOWN))})
    if found.links:
        message = f"{shown}: {len(found.links)} links not followed: they lead to folders or out of this one"
        yield Finding("skipped-links", "warning", message, {"paths": found.links[:SHOWN]}, "copy what they lead to")
    if loose:
        message = f"{shown}: {len(loose)} files stand in no class folder and are left out, e.g. {loose[0]}"
        fix = "move each into its class's folder"
        yield Finding("files-without-class", "warning", message, {"paths": list(loose[:SHOWN])}, fix)
    if empty:
        message = f"{shown}: {len(empty)} class folders hold nothing to read: {', '.join(empty[:5])}"
        yield Finding("empty-classes", "warning", message, {"folders": list(empty[:SHOWN])}, "fill or remove them")
