"""`FILE.py:setup`: the function of a person's own file that gives a program's parts."""

from __future__ import annotations

import importlib.util
import re
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..finding import BadInput, nearest

__all__ = ["is_program", "load_program"]

NAMED = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


def is_program(word: str) -> bool:
    """Whether a word names a function in a file.

    >>> is_program("train.py:setup"), is_program("digits"), is_program("train.py")
    (True, False, False)
    """
    return NAMED.fullmatch(word) is not None


def load_program(word: str) -> Any:
    """What the function that `FILE.py:NAME` names returns. Raises BadInput where there is none, or where it fails.

    The file is run as `python FILE.py` would, with its folder first on the path, but not as `__main__`.
    """
    match = NAMED.fullmatch(word)
    if match is None:
        raise BadInput(f"{word}: right would be FILE.py:setup")
    path, name = Path(match["file"]), match["name"]
    if not path.is_file():
        raise BadInput(f"{path}: no such file")
    folder = str(path.resolve().parent)
    if folder not in sys.path:
        sys.path.insert(0, folder)
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    loader = spec.loader
    _run(lambda: loader.exec_module(module), path)
    setup = getattr(module, name, None)
    if not callable(setup):
        raise BadInput(f"{path}: holds no function {name!r}{nearest(name, vars(module))}")
    return _run(setup, path)


def _run(function: Callable[[], Any], path: Path) -> Any:
    """Raises BadInput, with the line of the file, for whatever a person's code raises."""
    try:
        return function()
    except Exception as error:  # a person's code may raise anything
        own = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
        line = f", line {own[-1]}" if own else ""
        raise BadInput(f"{path}{line}: {type(error).__name__}: {error}") from error
