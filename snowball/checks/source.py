"""`FILE.py:setup`: the function of a person's own file that gives a program's parts."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ..finding import BadInput, nearest

__all__ = ["is_program", "load_setup"]

NAMED = re.compile(r"(?P<file>.+\.py):(?P<name>[A-Za-z_][A-Za-z0-9_]*)")


def is_program(word: str) -> bool:
    """Whether a word names a function in a file.

    >>> is_program("train.py:setup"), is_program("digits"), is_program("train.py")
    (True, False, False)
    """
    return NAMED.fullmatch(word) is not None


def load_setup(word: str) -> Callable[[], Mapping[str, Any]]:
    """The function that `FILE.py:NAME` names. Raises BadInput where there is no such file or function.

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
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        raise BadInput(f"{path}: {type(error).__name__}: {error}") from error
    setup = getattr(module, name, None)
    if not callable(setup):
        raise BadInput(f"{path}: holds no function {name!r}{nearest(name, vars(module))}")
    return setup  # type: ignore[no-any-return] # a person's function may be annotated as anything
