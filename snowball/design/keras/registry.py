"""The layers there are: a function by type, in the files of `layers/`, found by folder scan.

A builder takes a `Spec` and gives a module. It runs on the meta device: nothing is allocated before the shapes of a
whole network are known. A key of a layer's configuration that no builder has read is refused, unless it says nothing
of what the layer answers: a layer that ignores what it was told answers wrongly without a word.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import Any

from ...finding import nearest
from ...registry import scan
from .definition import Layer
from .weighted import KerasModule, Shape

__all__ = ["Builder", "Spec", "layer_builder", "layer_types", "register"]

MAX_INT = 2**31 - 1
# What says how a layer is made, drawn or trained, and not what it answers.
SILENT = re.compile(
    r"name|trainable|dtype|autocast|batch_input_shape|batch_shape|input_shape|input_dtype|sparse|ragged|seed|"
    r"[a-z_]*(initializer|regularizer|constraint)|synchronized|unroll|implementation|use_cudnn|unit_forget_bias|"
    r"dropout|recurrent_dropout|flash_attention|input_length|optional|build_config|"
    r"(query|key|value)_shape|virtual_batch_size|momentum|l1|l2|fill_mode|fill_value"
)
DTYPE = re.compile(r"(mixed_)?b?float(16|32|64)|u?int(8|16|32|64)|bool")


class Spec:
    """A layer with the shapes of its inputs, and typed access to its configuration, checked against ranges."""

    def __init__(
        self,
        layer: Layer,
        shapes: Sequence[Shape],
        options: Mapping[str, Shape | None],
        version: int,
        build: Callable[..., Any],
    ) -> None:
        self.layer = layer
        self.shapes = list(shapes)
        self.options = options
        """Of its first call, by name, with the shapes of those that are tensors."""
        self.version = version
        """Of Keras, its first number: 2 and 3 differ in what some words mean."""
        self._build = build
        self._read: set[str] = set()

    def said(self, name: str, default: Any = None) -> Any:
        """What the file says, unchecked; the default where it says nothing or null."""
        self._read.add(name)
        value = self.layer.config.get(name)
        return default if value is None else value

    def integer(self, name: str, default: int | None = None, low: int = 1, high: int = MAX_INT) -> int:
        value = self.said(name, default)
        if type(value) is not int or not low <= value <= high:
            raise self.layer.wrong(f"{name} is {_shown(value)}: a whole number of {low} to {high} is possible")
        return value

    def real(self, name: str, default: float | None = None) -> float:
        value = self.said(name, default)
        if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < 1e300:
            raise self.layer.wrong(f"{name} is {_shown(value)}: a number is possible")
        return float(value)

    def reals(self, name: str, default: float) -> list[float]:
        """A number, or a list of any depth of them."""
        pending, found = [self.said(name, default)], []
        while pending:
            value = pending.pop()
            if isinstance(value, list):
                pending.extend(reversed(value))
            elif isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e30:
                found.append(float(value))
            else:
                raise self.layer.wrong(f"{name} holds {_shown(value)}, which is no number")
            if len(found) + len(pending) > 100_000:
                raise self.layer.wrong(f"{name} holds more than 100,000 numbers")
        return found

    def flag(self, name: str, default: bool = False) -> bool:
        value = self.said(name, default)
        if not isinstance(value, bool):
            raise self.layer.wrong(f"{name} is {_shown(value)}: true or false is possible")
        return value

    def word(self, name: str, choices: Sequence[str], default: str = "") -> str:
        value = self.said(name, default or choices[0])
        if value not in choices:
            raise self.layer.wrong(f"{name} is {_shown(value)}: {', '.join(choices)} is possible")
        return str(value)

    def sides(self, name: str, dims: int, default: int | None = None, low: int = 1) -> tuple[int, ...]:
        """A whole number for each of `dims` sides; one number stands for all."""
        value = self.said(name, default)
        each = value if isinstance(value, list) else [value] * dims
        if len(each) != dims or any(type(side) is not int or not low <= side <= MAX_INT for side in each):
            raise self.layer.wrong(f"{name} is {_shown(value)}: {dims} whole numbers from {low} on are possible")
        return tuple(each)

    def pairs(self, name: str, dims: int) -> list[tuple[int, int]]:
        """(before, after) for each side: of one number, of one a side, or of two a side."""
        value = self.said(name)
        each = value if isinstance(value, list) else [value] * dims
        if dims == 1 and len(each) == 2 and all(type(side) is int for side in each):
            each = [each]
        pairs = [side if isinstance(side, list) else [side, side] for side in each]
        if len(pairs) != dims or any(
            len(pair) != 2 or any(type(side) is not int or not 0 <= side <= MAX_INT for side in pair) for pair in pairs
        ):
            raise self.layer.wrong(
                f"{name} is {_shown(value)}: two whole numbers for each of {dims} sides are possible"
            )
        return [(pair[0], pair[1]) for pair in pairs]

    def axes(self, name: str, default: int = -1) -> list[int]:
        """Axes counted from the front, the rows' one not among them."""
        value = self.said(name, default)
        dims = len(self.shapes[0])
        each = value if isinstance(value, list) else [value]
        if any(type(axis) is not int or not -dims <= axis < dims for axis in each):
            raise self.layer.wrong(f"{name} is {_shown(value)}, of {dims} axes")
        found = [axis % dims for axis in each]
        if 0 in found or len(set(found)) != len(found):
            raise self.layer.wrong(f"{name} is {_shown(value)}: the rows' axis, or one twice")
        return found

    def channels_last(self) -> bool:
        return self.word("data_format", ("channels_last", "channels_first")) == "channels_last"

    def inputs(self, least: int, most: int | None = None) -> None:
        """Refuse another number of inputs."""
        most = least if most is None else most
        if not least <= len(self.shapes) <= most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self.layer.wrong(f"{len(self.shapes)} inputs, {wanted} would be right")

    def dims(self, least: int, most: int | None = None) -> None:
        """Refuse a first input with another number of axes, the rows' one counted."""
        found, most = len(self.shapes[0]), least if most is None else most
        if not least <= found <= most:
            raise self.layer.wrong(f"its input has {found} axes, {least} to {most} would be right")

    def part(self, name: str, shapes: Sequence[Shape]) -> KerasModule:
        """The module of a layer inside this one."""
        self._read.add(name)
        if name not in self.layer.parts:
            raise self.layer.wrong(f"has no {name!r}")
        module: KerasModule = self._build(self.layer.parts[name], shapes, {})
        return module

    def check_read(self) -> None:
        """Refuse a configuration of which something was not looked at. Raises BadInput."""
        policy = self.layer.config.get("dtype")
        if isinstance(policy, dict):
            inner = policy.get("config")
            policy = inner.get("name") if isinstance(inner, dict) else policy
        if policy is not None and not (isinstance(policy, str) and DTYPE.fullmatch(policy)):
            raise self.layer.wrong(f"numbers of type {_shown(policy)}: float16, float32 and float64 are read")
        for key, value in self.layer.config.items():
            if key in self._read or SILENT.fullmatch(key) or value is None or value is False:
                continue
            raise self.layer.wrong(f"{key[:80]} is {_shown(value)}, which is not known{nearest(key, self._read)}")


Builder = Callable[[Spec], KerasModule]
_BUILDERS: dict[str, Builder] = {}
_OPTIONS: dict[str, tuple[str, ...]] = {}


def register(*types: str, options: tuple[str, ...] = ()) -> Callable[[Builder], Builder]:
    """Make a builder known for layers of these types, whose calls may have these options."""

    def keep(builder: Builder) -> Builder:
        for name in types:
            _BUILDERS[name], _OPTIONS[name] = builder, options
        return builder

    return keep


@cache
def _known() -> Mapping[str, Builder]:
    list(scan(f"{__package__}.layers"))  # each registers its own
    return _BUILDERS


def layer_types() -> list[str]:
    """Every type of layer there is, in the order of the alphabet."""
    return sorted(_known())


def layer_builder(layer: Layer) -> tuple[Builder, tuple[str, ...]]:
    """The builder, and the options its calls may have. Raises BadInput for a type that is not known."""
    known = _known()
    if layer.type not in known:
        raise layer.wrong(
            f"a type that is not known{nearest(layer.type, known)}; a function that gives its module, registered"
            f" under that name in snowball/design/keras/layers, is what it takes"
        )
    return known[layer.type], _OPTIONS[layer.type]


def _shown(value: Any) -> str:
    text = "missing" if value is None else str(value)
    return text if len(text) <= 80 else f"{text[:80]}..."
