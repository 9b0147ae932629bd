"""Imported: a network that another program trained, read from its files, and what may be asked of the reading."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from .finding import BadInput, Finding
from .recipe import Section

if TYPE_CHECKING:
    from torch import Tensor, nn

__all__ = ["Difference", "ImportSection", "Imported", "LayerRow", "Scores", "per_channel", "relative_difference"]


class ImportSection(Section):
    """What `snowball import` asks for beside the files."""

    key = "import"

    labels: str | None = None
    """A text file with the name of a class a line, in the network's order. Default: their numbers, from 0."""
    mean: str | float | None = None
    """What is taken from each pixel: one number, one a channel in the network's order (`104,117,123`), or a file."""
    scale: float | None = Field(None, gt=0)
    """What pixels in 0..255 are multiplied with after the mean was taken off. Default: what the file says, else 1."""
    std: str | float | None = None
    """What pixels are divided by after that: one number, or one a channel. Default: 1."""
    check: str | None = None
    """Another implementation to compare every layer with: `opencv` for Caffe's files, `onnxruntime` for ONNX's."""

    def says_pixels(self) -> bool:
        """Whether anything is said of what is done to pixels."""
        return (self.mean, self.scale, self.std) != (None, None, None)

    def standardisation(
        self, channels: int, mean: Sequence[float] = (0.0,), std: Sequence[float] = (1.0,)
    ) -> tuple[list[float], list[float]]:
        """What each channel is taken off and divided by; `mean` and `std` where nothing is said. Raises BadInput.

        >>> ImportSection(mean="1,2,3", scale=0.5).standardisation(3)
        ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
        """
        said = (("mean", self.mean, mean), ("std", self.std, std))
        taken, divided = (
            list(own) * (channels // len(own)) if asked is None else per_channel(key, asked, channels)
            for key, asked, own in said
        )
        return taken, [value / (self.scale or 1.0) for value in divided]


def per_channel(key: str, said: str | float, channels: int) -> list[float]:
    """`104,117,123`, or one number for all channels, as a number for each. Raises BadInput, naming the key.

    >>> per_channel("mean", "1,2,3", 3), per_channel("std", 2.0, 3)
    ([1.0, 2.0, 3.0], [2.0, 2.0, 2.0])
    """
    try:
        numbers = [float(part) for part in str(said).split(",")]
    except ValueError:
        raise BadInput(f"{key}={said}: a number, or one a channel, e.g. 104,117,123, would be right") from None
    if len(numbers) not in (1, channels):
        raise BadInput(f"{key}={said}: {len(numbers)} numbers for {channels} channels")
    if not np.isfinite(numbers).all() or (key == "std" and min(numbers) <= 0):
        raise BadInput(f"{key}={said}: finite numbers{' above 0' if key == 'std' else ''} would be right")
    return numbers * (channels // len(numbers))


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


def relative_difference(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference as a share of the largest number of `theirs`; infinite for other shapes.

    >>> relative_difference(np.array([1.0, 2.0]), np.array([1.0, 4.0]))
    0.5
    """
    if ours.size != theirs.size:
        return float("inf")
    if not ours.size:
        return 0.0
    apart = np.abs(ours.reshape(-1).astype(np.float64) - theirs.reshape(-1)).max()
    return float(apart / max(np.abs(theirs).max(), 1e-12))


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
    labels: Sequence[str] | None = None
    """The names of the classes, where the files say them."""

    def made_up_picture(self) -> Tensor:
        """(1, C, H, W): a picture of random pixels, standardised as the network is given it."""
        import torch

        pixels = torch.randint(0, 256, (1, *self.picture), generator=torch.Generator().manual_seed(0)).float()
        mean, std = (torch.tensor(value)[:, None, None] for value in (self.mean, self.std))
        return (pixels - mean) / std


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
