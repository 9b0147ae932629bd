"""A network of Keras in Python."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...finding import BadInput
from .archive import read_archive
from .definition import parse_model
from .network import KerasGraph, build_graph, input_shapes
from .weights import load_weights

__all__ = ["KerasNet", "load_keras", "major"]

Path_ = str | os.PathLike[str]


class KerasNet(nn.Module):
    """A network that was read from Keras's files, in evaluation mode.

    `net(data)` takes tensors or arrays as Keras would, channels last where the model says so, in the order of
    `net.inputs` or by name, of any number of rows; it gives the outputs by their keys where the model has such, else by
    the names of the layers that make them.
    """

    def __init__(self, graph: KerasGraph, inputs: Mapping[str, tuple[int, ...]]) -> None:
        super().__init__()
        self.graph = graph
        self.inputs = dict(inputs)
        model = graph.model
        named = [f"{ref.layer}:{ref.tensor}" if ref.tensor else ref.layer for ref in model.outputs]
        self.outputs = list(model.output_names or named)

    def forward(self, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        given = {**dict(zip(self.inputs, inputs, strict=False)), **named}
        if len(inputs) > len(self.inputs) or given.keys() != self.inputs.keys():
            raise BadInput(f"the inputs are {', '.join(self.inputs)}: got {', '.join(given) or 'none'}")
        found = self.graph(*(torch.as_tensor(given[name], dtype=torch.float32) for name in self.inputs))
        return dict(zip(self.outputs, found if isinstance(found, tuple) else (found,), strict=True))


def major(version: str) -> int:
    """The first number of Keras's version.

    >>> major("3.15.1"), major("2.4.0"), major("")
    (3, 2, 2)
    """
    first = version.partition(".")[0]
    return int(first) if first.isdigit() and len(first) < 4 else 2


def load_keras(file: Path_, *, shapes: Mapping[str, Sequence[int]] | None = None) -> KerasNet:
    """Read a network from a .keras file, or from a .h5 file of a whole model, of Keras 2 or 3. Raises BadInput.

    `shapes` says the inputs' shapes, rows first, where the file leaves sides open and layers need to know them.

    >>> net = load_keras("model.keras")  # doctest: +SKIP
    >>> net(torch.zeros(1, 28, 28, 1))["dense_1"].shape  # doctest: +SKIP
    torch.Size([1, 10])
    """
    path = Path(file)
    archive = read_archive(path)
    model = parse_model(archive.config, path.name)
    inputs = input_shapes(model, shapes or {})
    graph, _ = build_graph(model, inputs, major(archive.version))
    load_weights(graph, archive, path.name)
    return KerasNet(graph.eval(), inputs)
