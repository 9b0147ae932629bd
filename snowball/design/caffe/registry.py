"""The layers there are: a function by type, in the files of `layers/`, found by folder scan.

A builder takes a `Spec` and gives a module from the layer's bottoms to its top, or to a tuple of tops. It runs on the
meta device: nothing is allocated before the shapes of a whole network are known. Shapes: N rows, C channels, H, W.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple

from torch import nn

from ...finding import BadInput, nearest
from ...registry import scan
from .schema import DATA_LAYERS, messages

__all__ = ["Builder", "Layer", "Shape", "Spec", "is_input", "layer_builder", "register"]

Shape = tuple[int, ...]
MAX_INT = 2**31 - 1


class Shared(NamedTuple):
    """Blob number `blob` of a layer is the one that all layers call `name`."""

    blob: int
    name: str


@dataclass(frozen=True)
class Layer:
    """One layer as its file says it: parameters by message (`convolution_param`), with defaults left out."""

    name: str
    type: str
    bottoms: tuple[str, ...]
    tops: tuple[str, ...]
    parameters: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    shared: tuple[Shared, ...] = ()
    line: int = 0
    source: str = ""

    @property
    def where(self) -> str:
        """For an error: file, line, name and type."""
        return f"{self.source}, line {self.line}: layer {self.name!r} ({self.type})"

    def wrong(self, what: str) -> BadInput:
        return BadInput(f"{self.where}: {what}")


class Spec:
    """A layer with the shapes of its bottoms, and typed access to its parameters, checked against ranges."""

    def __init__(self, layer: Layer, message: str, shapes: list[Shape]) -> None:
        self.layer = layer
        self.shapes = shapes
        self._fields = messages().get(message, {})
        self._said = layer.parameters.get(message, {})
        self._message = message
        self._layer_said = layer.parameters

    def __contains__(self, name: str) -> bool:
        return name in self._said

    def number(self, name: str, low: int = -MAX_INT, high: int = MAX_INT) -> int:
        """A whole number; raises BadInput where it is not said and has no default, or lies out of range."""
        default = self._fields[name].default
        if name not in self._said and default is None:
            raise self.layer.wrong(f"{self._message}.{name} is missing")
        value = int(self._said.get(name, default))
        if not low <= value <= high:
            raise self.layer.wrong(f"{self._message}.{name} is {value}: {low} to {high} is possible")
        return value

    def numbers(self, name: str, low: int = -MAX_INT, high: int = MAX_INT) -> list[int]:
        """The whole numbers of a repeated field; none where it is not said."""
        found = [int(value) for value in self._said.get(name, ())]
        for value in found:
            if not low <= value <= high:
                raise self.layer.wrong(f"{self._message}.{name} is {value}: {low} to {high} is possible")
        return found

    def real(self, name: str) -> float:
        default = self._fields[name].default
        if name not in self._said and default is None:
            raise self.layer.wrong(f"{self._message}.{name} is missing")
        return float(self._said.get(name, default))

    def reals(self, name: str) -> list[float]:
        return [float(value) for value in self._said.get(name, ())]

    def flag(self, name: str) -> bool:
        return bool(self._said.get(name, self._fields[name].default == "true"))

    def word(self, name: str) -> str:
        """An enumerator."""
        return str(self._said.get(name, self._fields[name].default))

    def inner(self, name: str) -> Spec:
        """The message in a field, such as `nms_param`."""
        spec = Spec(self.layer, self._fields[name].type, self.shapes)
        spec._said = self._said.get(name, {})
        spec._message = f"{self._message}.{name}"
        return spec

    def other(self, message: str) -> Spec:
        """The layer's parameters in another message, such as a loss layer's `loss_param`."""
        name = "Loss" if message == "loss_param" else message
        spec = Spec(self.layer, name, self.shapes)
        spec._said = self._layer_said.get(message, {})
        return spec

    def axis(self, value: int, dims: int | None = None, *, end: bool = False) -> int:
        """An axis counted from the front; negative ones count from the end. `end`: one past the last is one too."""
        dims = len(self.shapes[0]) if dims is None else dims
        found = value + dims if value < 0 else value
        if not 0 <= found < dims + end:
            raise self.layer.wrong(f"axis {value} of a blob of {dims} dimensions")
        return found

    def bottoms(self, least: int, most: int | None = None) -> None:
        """Refuse another number of bottoms."""
        most = least if most is None else most
        if not least <= len(self.shapes) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self.layer.wrong(f"{len(self.shapes)} bottoms, {wanted} would be right")

    def dims(self, least: int, most: int | None = None) -> None:
        """Refuse a first bottom with another number of dimensions."""
        found = len(self.shapes[0])
        most = least if most is None else most
        if not least <= found <= most:
            raise self.layer.wrong(f"its bottom has {found} dimensions, {least} to {most} would be right")


Builder = Callable[[Spec], nn.Module]
_BUILDERS: dict[str, tuple[Builder, str]] = {}


def register(*types: str, message: str = "") -> Callable[[Builder], Builder]:
    """Make a builder known for layers of these types, whose parameters stand in `message`."""

    def keep(builder: Builder) -> Builder:
        for name in types:
            _BUILDERS[name] = builder, message
        return builder

    return keep


@cache
def _known() -> Mapping[str, tuple[Builder, str]]:
    list(scan(f"{__package__}.layers"))  # each registers its own
    return _BUILDERS


def is_input(kind: str) -> bool:
    """Whether layers of this type bring data in."""
    return kind in DATA_LAYERS


def layer_builder(layer: Layer) -> tuple[Builder, str]:
    """The builder and the message of its parameters. Raises BadInput for a type that is not known."""
    known = _known()
    if layer.type not in known:
        raise layer.wrong(
            f"a type that is not known{nearest(layer.type, known)}; a function from its bottoms to its top in"
            f" snowball/design/caffe/layers, registered under that name, is what it takes"
        )
    return known[layer.type]
