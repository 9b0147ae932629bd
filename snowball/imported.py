"""Imported: a network that another program trained, read from its files, and what may be asked of the reading."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pydantic import Field

from .finding import Finding
from .recipe import Section

if TYPE_CHECKING:
    from torch import nn

__all__ = ["Difference", "ImportSection", "Imported", "LayerRow", "Scores"]


class ImportSection(Section):
    """What `snowball import` asks for beside the files."""

    key = "import"

    labels: str | None = None
    """A text file with the name of a class a line, in the network's order. Default: their numbers, from 0."""
    mean: str | float | None = None
    """What is taken from each pixel: one number, one a channel in the network's order (`104,117,123`), or a file."""
    scale: float | None = Field(None, gt=0)
    """What pixels in 0..255 are multiplied with after the mean was taken off. Default: what the file says, else 1."""
    check: str | None = None
    """Another implementation to compare every layer with, e.g. `opencv` for Caffe's files."""


@dataclass(frozen=True)
class LayerRow:
    """A line of the table of layers: what a layer makes, and how many numbers it learned."""

    name: str
    type: str
    shapes: tuple[tuple[int, ...], ...]
    parameters: int

    def to_json(self) -> dict[str, Any]:
        shapes = [list(shape) for shape in self.shapes]
        return {"layer": self.name, "type": self.type, "shapes": shapes, "parameters": self.parameters}


@dataclass(frozen=True)
class Difference:
    """How far a layer's output is from another implementation's, as a share of the largest number there."""

    layer: str
    blob: str
    relative: float

    def to_json(self) -> dict[str, Any]:
        return {"layer": self.layer, "blob": self.blob, "difference": self.relative}


@dataclass(frozen=True)
class Scores:
    """A network from one picture to a score for each class, before any softmax: what a classifier is made of."""

    network: nn.Module
    """(B, C, H, W) of standardised pixels to (B, classes), with its weights."""
    description: Mapping[str, Any]
    """What the network is rebuilt from, JSON-able; its `format` names the reader."""
    picture: tuple[int, int, int]
    """C, H, W."""
    num_classes: int
    mean: list[float]
    """Of each channel, in 0..255, taken off first."""
    std: list[float]
    """Of each channel, divided by then."""
    recipe: Mapping[str, Any] = field(default_factory=dict)
    """Values of the recipe that follow from where the network comes from, such as the order of its channels."""


@dataclass(frozen=True)
class Imported:
    """What a reader found. `scores` is None where the network is no classifier of pictures."""

    name: str
    rows: list[LayerRow]
    outputs: list[str]
    scores: Scores | None
    instead: str
    """How the network is used where no task takes it, as code."""
    findings: list[Finding] = field(default_factory=list)
