"""Samples of English text that every installation has: Python's own help, and the docstrings of packages."""

from __future__ import annotations

import ast
import hashlib
import importlib
import sysconfig
import warnings
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice
from pathlib import Path

from ...finding import BadInput
from ...table import Column, Table

__all__ = ["docstrings", "pydoc"]

_MAX_CHARACTERS = 400_000
_PACKAGES = ("matplotlib", "numpy", "python", "scipy", "sklearn")  # python is the standard library
_PER_CLASS = 500
_PER_FILE = 12  # docstrings of one file, so that none makes up a class
_MAX_FILE = 100_000  # bytes; parsing longer ones would take longer than they bring
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
_LENGTHS = range(20, 401)  # characters of a first paragraph
# Tests, and copies of other packages, which would stand in two classes.
_TESTS = ("test", "tests", "testing", "idlelib", "lib2to3", "pydoc_data", "ensurepip", "__pycache__")
_COPIES = ("site-packages", "dist-packages", "externals", "extern", "_vendor", "array_api_compat", "array_api_extra")
_LEFT_OUT = frozenset((*_TESTS, *_COPIES))


def pydoc() -> Table:
    """The topics of Python's own help, as `help("IMPORTING")` shows them, sorted: a document each."""
    topics: dict[str, str] = importlib.import_module("pydoc_data.topics").topics
    names: list[str] = []
    total = 0
    for name in sorted(topics):
        total += len(topics[name])
        if total > _MAX_CHARACTERS:
            break
        names.append(name)
    columns = {"text": Column("text", "text", [topics[name] for name in names])}
    return Table("pydoc", columns, [""] * len(names), lambda row: f"pydoc, topic {names[row]}")


def docstrings() -> Table:
    """First paragraphs of docstrings; the class is the package. Read from source files: nothing is imported or run."""
    texts: list[str] = []
    labels: list[str] = []
    places: list[str] = []
    seen: set[str] = set()
    for package in _PACKAGES:
        fresh = (found for found in _paragraphs(package) if not _seen(found[1], seen))
        for place, text in islice(fresh, _PER_CLASS):
            texts.append(text)
            labels.append(package)
            places.append(place)
    columns = {"text": Column("text", "text", texts), "label": Column("label", "label", labels)}
    return Table("docstrings", columns, [""] * len(texts), lambda row: f"docstrings, {places[row]}")


def _seen(text: str, seen: set[str]) -> bool:
    key = text.lower()
    known = key in seen
    seen.add(key)
    return known


def _paragraphs(package: str) -> Iterator[tuple[str, str]]:
    """(place, first paragraph) of the functions and classes of a package, spread over its files."""
    root = _folder(package)
    for path in _files(root):
        place = f"{package}/{path.relative_to(root).as_posix()}"
        yield from islice(((f"{place}, {name}", text) for name, text in _parse(path)), _PER_FILE)


def _folder(package: str) -> Path:
    if package == "python":
        return Path(sysconfig.get_paths()["stdlib"])
    spec = find_spec(package)  # finds a top package without importing it
    folders = list(spec.submodule_search_locations or []) if spec else []
    if not folders:
        raise BadInput(f"docstrings: the package {package} is not installed: pip install --force-reinstall snowball")
    return Path(folders[0])


def _files(root: Path) -> list[Path]:
    """The source files below a folder in the order of a digest of their names: fixed, and spread over the package."""
    found: list[tuple[bytes, Path]] = []
    folders = [root]
    while folders:
        for entry in folders.pop().iterdir():
            if entry.name in _LEFT_OUT or entry.is_symlink():
                continue
            if entry.suffix == ".py" and entry.stat().st_size <= _MAX_FILE:
                name = entry.relative_to(root).as_posix()
                found.append((hashlib.blake2b(name.encode(), digest_size=8).digest(), entry))
            elif not entry.suffix and entry.is_dir():
                folders.append(entry)
    return [path for _, path in sorted(found)]


def _parse(path: Path) -> Iterator[tuple[str, str]]:
    """(name, first paragraph on one line) of every function and class whose docstring begins with a useful one."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's strings
            tree = ast.parse(path.read_bytes())
    except (SyntaxError, ValueError, RecursionError):
        return
    for node in _definitions(tree):
        text = " ".join((ast.get_docstring(node) or "").strip().partition("\n\n")[0].split())
        if len(text) in _LENGTHS:
            yield node.name, text


def _definitions(parent: ast.Module | _Definition) -> Iterator[_Definition]:
    """Functions and classes, but not those within an `if`: looking into every node takes twice the time."""
    for node in parent.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node
            yield from _definitions(node)
