"""An ONNX graph in Python: every tensor of its last run by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...finding import BadInput
from .definition import Definition, read_definition
from .file import read_onnx_file
from .network import OnnxGraph

__all__ = ["OnnxNet", "input_shapes", "load_onnx"]

Path_ = str | os.PathLike[str]


class OnnxNet(nn.Module):
    """A network that was read from an ONNX file, in evaluation mode; its floating-point tensors are its parameters.

    `net(x)` takes tensors or arrays in the order of `net.inputs`, or by name, and gives the outputs by name;
    `net.tensors` then holds every tensor that a node made.
    """

    def __init__(self, graph: OnnxGraph) -> None:
        super().__init__()
        self.graph = graph
        self.inputs = dict(graph.inputs)
        self.tensors: dict[str, Tensor] = {}

    def forward(self, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        given = {**dict(zip(self.inputs, inputs, strict=False)), **named}
        if len(inputs) > len(self.inputs) or given.keys() != self.inputs.keys():
            by_name = ", ".join(named) or "none"
            raise BadInput(f"the inputs are {', '.join(self.inputs)}: got {len(inputs)} and {by_name} by name")
        types = {name: getattr(torch, one.type) for name, one in self.graph.definition.inputs.items()}
        values = self.graph.run({name: torch.as_tensor(value, dtype=types[name]) for name, value in given.items()})
        self.tensors = {name: value for name, value in values.items() if isinstance(value, Tensor)}
        return {name: values[name] for name in self.graph.definition.outputs}


def load_onnx(file: Path_, *, shapes: Mapping[str, Sequence[int]] | None = None) -> OnnxNet:
    """Read a network from an ONNX file of one piece. Raises BadInput, naming the node.

    `shapes` says the sides of inputs that vary in the file; the number of rows may be left at 1 and still vary.

    >>> net = load_onnx("net.onnx")  # doctest: +SKIP
    >>> net(torch.zeros(8, 3, 224, 224))["logits"].shape  # doctest: +SKIP
    torch.Size([8, 1000])
    """
    found = read_onnx_file(Path(file))
    definition, stored = read_definition(found)
    graph = OnnxGraph(definition, input_shapes(definition, shapes or {}))
    graph.allocate()
    graph.load(stored, found.source)
    return OnnxNet(graph).eval()


def input_shapes(definition: Definition, said: Mapping[str, Sequence[int]]) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs: as said, else the file's; rows that vary are one. Raises BadInput for sides nobody says."""
    if unknown := sorted(said.keys() - definition.inputs.keys()):
        known = ", ".join(definition.inputs) or "none"
        raise BadInput(f"{definition.source}: no input {unknown[0]!r}; there is {known}")
    found: dict[str, tuple[int, ...]] = {}
    for name, one in definition.inputs.items():
        shape: Sequence[int | None] | None = said.get(name, one.shape)
        if shape is not None and len(shape) and shape[0] is None:
            shape = (1, *shape[1:])
        if shape is None or None in shape:
            raise BadInput(
                f"{definition.source}: the sides of input {name!r} vary: {_shown(shape)}: say them, e.g."
                f' shapes={{"{name}": (1, 3, 224, 224)}}'
            )
        found[name] = tuple(int(side) for side in shape if side is not None)
    return found


def _shown(shape: Sequence[int | None] | None) -> str:
    return "not said" if shape is None else " x ".join("?" if side is None else str(side) for side in shape)
