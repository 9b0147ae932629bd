"""Find the files that a column of paths means: beside the table, in an archive beside it, or by their bare names.

A recorder writes the paths of its own machine. Where most of those lead nowhere, the bare names are looked for in the
folder of the table, in the folders right inside it, and in archives beside it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .archive import extract, is_archive

__all__ = ["Place", "find_place"]

MAX_ARCHIVES = 4  # beside a table that are unpacked in search of its files


@dataclass(frozen=True)
class Place:
    """Where a column's files are: paths relative to a folder, and the rows of a sample whose file is not there."""

    folder: Path
    paths: Sequence[Any]
    missing: Sequence[int]


def find_place(folders: Sequence[Path], paths: Sequence[Any], sample: Sequence[int], *, sealed: bool) -> Place:
    """The place with the fewest files of the sample missing; paths as they are go before bare names.

    In a `sealed` folder paths may not lead out, so that only bare names can be meant by those that do.
    """
    best: Place | None = None
    for place in _places(folders, paths, sample, leads_out=sealed and _leads_out(paths)):
        if best is None or len(place.missing) < len(best.missing):
            best = place
        if 2 * len(best.missing) < len(sample):
            break
    assert best is not None
    return best


def _leads_out(paths: Sequence[Any]) -> bool:
    return any(isinstance(p, str) and (os.path.isabs(p.strip()) or ".." in Path(p.strip()).parts) for p in paths)


def _places(
    folders: Sequence[Path], paths: Sequence[Any], sample: Sequence[int], *, leads_out: bool
) -> Iterator[Place]:
    if not leads_out:
        for folder in folders:
            yield _look(folder, paths, sample)
    unpacked = []
    for archive in _archives(folders):
        unpacked.append(extract(archive))
        if not leads_out:
            yield _look(unpacked[-1], paths, sample)
    for folder in (*folders, *unpacked):
        inside = _by_name(folder)
        yield _look(folder, [inside.get(_bare(path), path if not leads_out else "") for path in paths], sample)


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
