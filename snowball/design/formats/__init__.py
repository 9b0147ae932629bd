"""Networks of other programs: a reader for each format, one file here, found by folder scan.

A reader gives an `Imported`; its description is kept in a run's schema, and `imported_network` builds the network from
that again. Nothing in a file is executed: a reader builds from a list of layers of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from torch import nn

from ...finding import BadInput
from ...imported import Difference, Imported, ImportSection, Scores
from ...registry import scan

__all__ = ["Format", "choose_format", "described", "formats", "imported_network"]


class Format(ABC):
    """One format of networks."""

    key: ClassVar[str]
    suffixes: ClassVar[frozenset[str]]
    """Endings of file names by which the format is known."""
    usage: ClassVar[str]
    """The files, as a person writes them after `snowball import`."""
    checks: ClassVar[tuple[str, ...]] = ()
    """What `check=` may name."""

    @classmethod
    @abstractmethod
    def read(cls, files: Sequence[Path], section: ImportSection, asked: Mapping[str, Any]) -> Imported:
        """Read a network with its weights; `asked` holds recipe values by full key. Raises BadInput."""

    @classmethod
    @abstractmethod
    def network(cls, description: Mapping[str, Any]) -> nn.Module:
        """The network that was described, with weights to be loaded."""

    @staticmethod
    @abstractmethod
    def for_pictures(description: Mapping[str, Any], picture: Sequence[int]) -> Mapping[str, Any]:
        """The description of the same network for pictures (C, H, W) of another size. Raises BadInput.

        Its weights are those of before where the shapes still fit.
        """

    @staticmethod
    @abstractmethod
    def with_outputs(description: Mapping[str, Any], old: int, new: int) -> Mapping[str, Any]:
        """The description of the same network with a score for each of `new` classes, not `old`. Raises BadInput."""

    @classmethod
    def one_file(cls, files: Sequence[Path]) -> Path:
        """The only file there is. Raises BadInput."""
        if len(files) != 1:
            raise BadInput(f"{len(files)} files: snowball import {cls.usage}")
        return files[0]

    @classmethod
    def compare(cls, files: Sequence[Path], imported: Imported, check: str) -> list[Difference]:
        """How far each layer is from what `check` says for the same files and a made-up input."""
        raise NotImplementedError  # of a format that names no `checks`, which are looked at before


@cache
def formats() -> dict[str, type[Format]]:
    """Every format by its key."""
    found = {}
    for module in scan(__name__):
        for value in vars(module).values():
            if isinstance(value, type) and issubclass(value, Format) and value is not Format:
                found[value.key] = value
    return found


def choose_format(files: Sequence[Path]) -> type[Format]:
    """The format that one of the files' names tells. Raises BadInput."""
    for known in formats().values():
        if any(path.name.lower().endswith(tuple(known.suffixes)) for path in files):
            return known
    readers = "; ".join(f"{known.key}: {known.usage}" for known in formats().values())
    raise BadInput(f"{', '.join(map(str, files))}: not files of a network that can be read. Known are {readers}")


def described(scores: Scores) -> dict[str, Any]:
    """What a run keeps of an imported classifier, for `imported_network`."""
    return {**scores.description, "picture": list(scores.picture), "num_classes": scores.num_classes}


def imported_network(description: Mapping[str, Any], picture: tuple[int, int, int], num_classes: int) -> nn.Module:
    """The network of a run that was imported, from the description in its schema.

    (B, C, H, W) to (B, num_classes); fitted to `picture`, which is C, H, W, and to `num_classes` where they are others
    than it was made for.
    """
    key = description.get("format")
    if key not in formats():
        raise BadInput(f"the run's network is of format {key!r}, not one of {', '.join(formats())}")
    known = formats()[key]
    try:
        if tuple(description["picture"]) != picture:
            description = known.for_pictures(description, picture)
        if (own := int(description["num_classes"])) != num_classes:
            description = known.with_outputs(description, own, num_classes)
        return known.network(description)
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadInput(f"schema.json: the description of the imported network is damaged ({error!r})") from error
