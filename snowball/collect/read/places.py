"""Find the files that a column of paths means: beside the table, in an archive beside it, or by their bare names.

A recorder writes the paths of its own machine. Where most of those lead nowhere, the bare names are looked for in the
folder of the table, in the folders right inside it, and in archives beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import Any

from .archive import extract, is_archive

__all__ = ["Place", "find_place", "search_place"]

MAX_ARCHIVES = 4  # beside a table that are unpacked in search of its files


@dataclass(frozen=True)
class Place:
    """Where a column's files are: paths relative to a folder, and the rows of a sample whose file is not there."""

    folder: Path
    paths: Sequence[Any]
    missing: Sequence[int]


def find_place(folders: Sequence[Path], paths: Sequence[Any], sample: Sequence[int]) -> Place:
    """The folder with the fewest files of the sample missing."""
    return min((_look(folder, paths, sample) for folder in folders), key=lambda place: len(place.missing))


def search_place(folders: Sequence[Path], paths: Sequence[Any], sample: Sequence[int]) -> Place | None:
    """Where else most files of the sample are, if anywhere: in archives beside the table, or under bare names.

    Only absolute paths, which are another machine's, are taken for bare names; a relative one means what it says.
    """
    unpacked = []
    for archive in _archives(folders):
        unpacked.append(extract(archive))
        place = _look(unpacked[-1], paths, sample)
        if 2 * len(place.missing) < len(sample):
            return place
    if 2 * sum(_is_absolute(paths[row]) for row in sample) < len(sample):
        return None
    for folder in (*unpacked, *folders):
        inside = _by_name(folder)
        place = _look(folder, [inside.get(_bare(path), _bare(path)) for path in paths], sample)
        if 2 * len(place.missing) < len(sample):
            return place
    return None


def _is_absolute(path: Any) -> bool:
    r"""
    >>> _is_absolute(r"C:\Users\me\1.jpg"), _is_absolute("/home/me/1.jpg"), _is_absolute("IMG/1.jpg")
    (True, True, False)
    """
    text = str(path).strip()
    return PurePosixPath(text).is_absolute() or PureWindowsPath(text).is_absolute()


def _look(folder: Path, paths: Sequence[Any], sample: Sequence[int]) -> Place:
    missing = [row for row in sample if not os.path.isfile(os.path.join(folder, str(paths[row]).strip()))]
    return Place(folder, paths, missing)


def _archives(folders: Sequence[Path]) -> list[Path]:
    names = [folder / name for folder in folders if folder.is_dir() for name in sorted(os.listdir(folder))]
    return [path for path in names if is_archive(path.name) and path.is_file()][:MAX_ARCHIVES]


def _bare(path: Any) -> str:
    r"""The name of a file without its folders, whichever system wrote them.

    >>> _bare(r"C:\Users\me\IMG\center_1.jpg"), _bare(" /home/me/IMG/center_1.jpg")
    ('center_1.jpg', 'center_1.jpg')
    """
    return re.split(r"[\\/]", str(path).strip())[-1]


def _by_name(folder: Path) -> dict[str, str]:
    """Bare name -> path, of the files in a folder and right below it; a name that occurs twice could mean either."""
    found: dict[str, str] = {}
    twice: set[str] = set()
    for inner in ("", *_subfolders(folder)):
        with os.scandir(folder / inner) as entries:
            for entry in entries:
                if entry.is_file(follow_symlinks=False):
                    twice.update({entry.name} & found.keys())
                    found[entry.name] = os.path.join(inner, entry.name)
    return {name: path for name, path in found.items() if name not in twice}


def _subfolders(folder: Path) -> list[str]:
    if not folder.is_dir():
        return []
    with os.scandir(folder) as entries:
        return sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
