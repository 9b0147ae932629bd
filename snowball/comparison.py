"""What a network is compared with: itself under other conditions, and one that is denied something."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor, nn

    from .rng import SampleRandom

__all__ = ["Condition", "Control"]


class Condition(NamedTuple):
    """Other circumstances under which held-out rows are scored once more, such as noise: one point of a plot.

    `change` gives a batch's inputs under it; what it draws hangs on each row's number alone.
    """

    group: str
    """The line that the point belongs to."""
    x: float | None
    """None: the same at any x, a level line."""
    change: Callable[[Mapping[str, Tensor], SampleRandom], dict[str, Tensor]]


class Control(NamedTuple):
    """A network that is denied something, such as motion: what a network that has it must beat."""

    name: str
    network: nn.Module
