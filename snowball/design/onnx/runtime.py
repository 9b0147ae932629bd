"""The same file through ONNX Runtime, tensor by tensor: an implementation that shares nothing with this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...finding import BadInput, brief
from ...imported import Difference, relative_difference
from .network import OnnxGraph
from .registry import Node

__all__ = ["compare_with_onnxruntime"]


def compare_with_onnxruntime(path: Path, graph: OnnxGraph, inputs: Mapping[str, Tensor]) -> list[Difference]:
    """Every tensor that both make of these inputs, in the order of the nodes. Raises BadInput where it cannot.

    The file was read here before, so that it holds no graphs inside of nodes and nothing that lies outside of it.
    """
    import onnx
    import onnxruntime

    ours: dict[str, tuple[Node, np.ndarray]] = {}

    def keep(node: Node, name: str, value: Tensor) -> None:
        if value.is_floating_point():
            ours[name] = node, value.detach().numpy().copy()

    with torch.no_grad():
        graph.run(inputs, keep)
    model = onnx.load_model(path, load_external_data=False)
    named = {output.name for output in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in ours if name not in named)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        names = list(ours)
        theirs = dict(zip(names, session.run(names, {n: v.numpy() for n, v in inputs.items()}), strict=True))
    except Exception as error:  # ONNX Runtime raises types of its own, which share no base but this
        raise BadInput(f"check=onnxruntime: ONNX Runtime {onnxruntime.__version__}: {brief(error)}") from error
    return [
        Difference(node.label, name, relative_difference(value, theirs[name])) for name, (node, value) in ours.items()
    ]
