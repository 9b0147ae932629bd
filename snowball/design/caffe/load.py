"""A Caffe network in Python: every blob of its last run by name."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...finding import BadInput
from .definition import State, read_definition
from .network import CaffeGraph
from .weights import load_weights
from .wire import read_weights

__all__ = ["CaffeNet", "load_caffe"]

Path_ = str | os.PathLike[str]


class CaffeNet(nn.Module):
    """A network that was read from Caffe's files, in evaluation mode.

    `net(data)` takes tensors or arrays in the order of `net.inputs`, or by name, of any number of rows, and gives the
    outputs by name; `net.blobs` then holds every blob. Layers whose inputs were not given, such as a loss without
    labels, do not run.
    """

    def __init__(self, graph: CaffeGraph) -> None:
        super().__init__()
        self.graph = graph
        self.inputs = dict(graph.inputs)
        self.blobs: dict[str, Tensor] = {}

    def forward(self, *inputs: Any, **named: Any) -> dict[str, Tensor]:
        if len(inputs) > len(self.inputs) or named.keys() - self.inputs.keys():
            raise BadInput(
                f"the inputs are {', '.join(self.inputs)}: got {len(inputs)} and {', '.join(named) or 'none'} by name"
            )
        given = {**dict(zip(self.inputs, inputs, strict=False)), **named}
        tensors = {name: torch.as_tensor(value, dtype=torch.float32) for name, value in given.items()}
        self.blobs = self.graph.run(tensors)
        return {name: self.blobs[name] for name in self.graph.ends(self.blobs)}


def load_caffe(
    definition: Path_,
    weights: Path_ | None = None,
    *,
    shapes: Mapping[str, Sequence[int]] | None = None,
    phase: str = "TEST",
    stages: Sequence[str] = (),
) -> CaffeNet:
    """Read a network from Caffe's .prototxt and .caffemodel; without weights they are drawn as its fillers say.

    `shapes` says the inputs' shapes where the file does not, as in files for training. Raises BadInput.

    >>> net = load_caffe("deploy.prototxt", "net.caffemodel")  # doctest: +SKIP
    >>> net(torch.zeros(1, 3, 227, 227))["prob"].shape, net.blobs["conv1"].shape  # doctest: +SKIP
    (torch.Size([1, 1000, 1, 1]), torch.Size([1, 96, 111, 111]))
    """
    said = {name: tuple(int(side) for side in shape) for name, shape in (shapes or {}).items()}
    found = read_definition(Path(definition), State(phase, 0, tuple(stages)))
    blobs = read_weights(Path(weights)) if weights is not None else None  # what is damaged is refused before any work
    graph = CaffeGraph(found, said)
    graph.allocate()
    if blobs is not None:
        load_weights(graph, blobs, str(weights))
    return CaffeNet(graph).eval()
