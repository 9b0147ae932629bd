"""The cache folder: downloads, unpacked archives, large encoded arrays. Whatever is in it can be made again."""

from __future__ import annotations

import os
import tempfile
import weakref
from pathlib import Path

from ..finding import BadInput

__all__ = ["cache_folder", "no_room", "unlinked_file"]


def cache_folder(*parts: str) -> Path:
    """`$SNOWBALL_CACHE`, else `$XDG_CACHE_HOME/snowball`, else `~/.cache/snowball`; readable by its owner alone.

    Made where it does not exist; `parts` name a folder inside it.
    """
    asked = os.environ.get("SNOWBALL_CACHE")
    base = Path(asked) if asked else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "snowball"
    folder = base.joinpath(*parts)
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"cache folder {folder}: {error.strerror}; point SNOWBALL_CACHE at a folder of yours") from error
    return folder


def unlinked_file(owner: object) -> int:
    """The descriptor of a new file in the cache folder that has no name and is gone with its owner. Raises OSError."""
    file, name = tempfile.mkstemp(dir=cache_folder(), prefix="encoded-")
    os.unlink(name)
    weakref.finalize(owner, os.close, file)
    return file


def no_room(num_bytes: int, error: OSError) -> BadInput:
    """What to say where encoded rows of so many bytes could not be kept."""
    return BadInput(
        f"{cache_folder()}: {num_bytes / 2**30:.1f} GiB of encoded rows: {error.strerror};"
        " free some space, or point SNOWBALL_CACHE elsewhere"
    )
