"""The operators there are: a function by name, in the files of `ops/`, found by folder scan.

A builder takes a `Spec` and gives a module from the node's operands to its output, or to a tuple of outputs. It runs on
the meta device: nothing is allocated before the shapes of a whole network are known. Operands that a builder takes as
weights of its module (`Spec.take`) are not handed over when the node runs; all others are, None where left out.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
from torch import Tensor, nn

from ...finding import BadInput, nearest
from ...registry import scan
from .values import whole

__all__ = ["Builder", "Node", "Spec", "op_builder", "register"]

MAX_INT = 2**31 - 1
Change = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Node:
    """One node: attributes are numbers, texts, and lists of them."""

    op: str
    name: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: Mapping[str, Any] = field(default_factory=dict)
    source: str = ""

    @property
    def label(self) -> str:
        """Its name, or what it makes where it has none."""
        return self.name or (self.outputs[0] if self.outputs else self.op)

    def wrong(self, what: str) -> BadInput:
        return BadInput(f"{self.source}: node {self.label[:100]!r} ({self.op[:50]}): {what}")


class Spec:
    """A node with its operands on the meta device, and typed access to its attributes, checked against ranges."""

    def __init__(self, node: Node, opset: int, operands: Sequence[Any], weights: Sequence[bool]) -> None:
        self.node = node
        self.opset = opset
        self.operands = operands
        """Tensors, known values, or None where one is left out."""
        self._weights = weights
        self.taken: dict[int, tuple[str, Change | None]] = {}
        """Number of an operand -> the weight of the module that it is, and how its numbers are arranged for that."""

    def __contains__(self, name: str) -> bool:
        return name in self.node.attributes

    def has(self, number: int) -> bool:
        return number < len(self.operands) and self.operands[number] is not None

    def operand_counts(self, least: int, most: int | None = None) -> None:
        """Refuse another number of operands."""
        most = least if most is None else most
        missing = any(not self.has(number) for number in range(least))
        if missing or len(self.operands) > most:
            wanted = str(least) if least == most else f"{least} to {most}"
            raise self.node.wrong(f"{len(self.operands)} operands, {wanted} would be right")

    def tensor(self, number: int = 0) -> Tensor:
        value = self.operands[number] if self.has(number) else None
        if not isinstance(value, Tensor):
            raise self.node.wrong(f"operand {number} is {'a constant' if value is not None else 'missing'}")
        return value

    def weight(self, number: int) -> tuple[int, ...] | None:
        """The shape of an operand that is a weight of the file; None where it is computed, or not there."""
        if not self.has(number) or not self._weights[number]:
            return None
        return tuple(self.operands[number].shape)

    def take(self, number: int, name: str, change: Change | None = None) -> None:
        """Operand `number`, a weight of the file, becomes the weight `name` of the module, after `change`."""
        if self.weight(number) is None:
            raise self.node.wrong(f"operand {number} is computed, where a weight of the file is read")
        self.taken[number] = name, change

    def known(self, number: int) -> np.ndarray | None:
        """An operand that is known now."""
        value = self.operands[number] if self.has(number) else None
        return value if isinstance(value, np.ndarray) else None

    def number(self, name: str, default: int | None = None, low: int = -MAX_INT, high: int = MAX_INT) -> int:
        value = self.node.attributes.get(name, default)
        if value is None:
            raise self.node.wrong(f"{name} is missing")
        if not isinstance(value, int) or not low <= value <= high:
            raise self.node.wrong(f"{name} is {_brief(value)}: {low} to {high} is possible")
        return value

    def numbers(self, name: str, low: int = -MAX_INT, high: int = MAX_INT) -> list[int]:
        """The whole numbers of a list; none where it is not said."""
        values = self.node.attributes.get(name, [])
        if not isinstance(values, list) or any(not isinstance(v, int) or not low <= v <= high for v in values):
            raise self.node.wrong(f"{name} is {_brief(values)}: whole numbers of {low} to {high} are possible")
        return list(values)

    def listed(self, name: str, low: int = -MAX_INT) -> Callable[[Any], list[Any]]:
        """The whole numbers of an attribute, or of the operand, if it is given, that later opsets have in its place."""
        said = self.numbers(name, low)
        return lambda operand: said if operand is None else whole(operand)

    def real(self, name: str, default: float) -> float:
        value = self.node.attributes.get(name, default)
        if not isinstance(value, int | float):
            raise self.node.wrong(f"{name} is {_brief(value)}: a number would be right")
        return float(value)

    def word(self, name: str, default: str, *known: str) -> str:
        value = self.node.attributes.get(name, default)
        if value not in known:
            raise self.node.wrong(f"{name} is {_brief(value)}: of these {', '.join(known)} are read")
        return str(value)

    def flag(self, name: str, default: int = 0) -> bool:
        return bool(self.number(name, default))

    def axis(self, value: int, dims: int) -> int:
        """An axis counted from the front; negative ones count from the end."""
        found = value + dims if value < 0 else value
        if not 0 <= found < dims:
            raise self.node.wrong(f"axis {value} of {dims} dimensions")
        return found

    def only(self, name: str, default: Any, *possible: Any) -> None:
        """Refuse a value of an attribute that no module here has."""
        value = self.node.attributes.get(name, default)
        if value not in possible:
            raise self.node.wrong(f"{name} is {_brief(value)}: of these {', '.join(map(str, possible))} are read")


def _brief(value: Any) -> str:
    return repr(value)[:80]


Builder = Callable[[Spec], nn.Module]
_BUILDERS: dict[str, Builder] = {}


def register(*ops: str) -> Callable[[Builder], Builder]:
    """Make a builder known for nodes of these operators."""

    def keep(builder: Builder) -> Builder:
        for name in ops:
            _BUILDERS[name] = builder
        return builder

    return keep


@cache
def _known() -> Mapping[str, Builder]:
    list(scan(f"{__package__}.ops"))  # each registers its own
    return _BUILDERS


def op_builder(node: Node) -> Builder:
    """The builder of a node's operator. Raises BadInput for one that is not known."""
    known = _known()
    if node.op in ("If", "Loop", "Scan"):
        raise node.wrong("graphs inside of nodes are not read: export the network without control flow")
    if node.op not in known:
        raise node.wrong(
            f"an operator that is not known{nearest(node.op, known)}; a function from its operands to its output in"
            f" snowball/design/onnx/ops, registered under that name, is what it takes"
        )
    return known[node.op]
