"""The same files through OpenCV's reader, blob by blob: an implementation that shares nothing with this one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...finding import BadInput, brief
from .network import CaffeGraph
from .registry import Layer

__all__ = ["Difference", "compare_with_opencv"]


@dataclass(frozen=True)
class Difference:
    """How far a layer's blob is from OpenCV's: the largest difference as a share of the largest number there."""

    layer: str
    blob: str
    relative: float

    def to_json(self) -> dict[str, Any]:
        return {"layer": self.layer, "blob": self.blob, "difference": self.relative}


def compare_with_opencv(
    definition: Path, weights: Path, graph: CaffeGraph, inputs: Mapping[str, torch.Tensor]
) -> list[Difference]:
    """Every blob that OpenCV gives for these inputs, in the order of the layers. Raises BadInput where it cannot read them."""
    try:
        import cv2
    except ImportError as error:
        raise BadInput("check=opencv needs OpenCV 4: pip install 'snowball[opencv]'") from error
    if not hasattr(cv2.dnn, "readNetFromCaffe"):
        raise BadInput(f"check=opencv: OpenCV {cv2.__version__} reads no Caffe files: install 4.x")
    ours: dict[str, tuple[Layer, str, np.ndarray]] = {}

    def keep(layer: Layer, top: str, value: torch.Tensor) -> None:
        if top == layer.tops[0]:
            ours[layer.name] = (layer, top, value.numpy().copy())

    try:
        network = cv2.dnn.readNetFromCaffe(str(definition), str(weights))
        network.enableFusion(False)  # else a convolution's blob already holds the normalisation behind it
        network.enableWinograd(False)
        for name, value in inputs.items():
            network.setInput(value.numpy(), name)
        with torch.no_grad():
            graph.run(inputs, keep)
        known = set(network.getLayerNames())
        names = [name for name in ours if name in known]
        theirs = dict(zip(names, network.forward(names), strict=True))
    except cv2.error as error:
        raise BadInput(f"check=opencv: OpenCV {cv2.__version__} does not take {definition.name}: {brief(error)}") from error
    return [
        Difference(name, top, relative_difference(value, theirs[name]))
        for name, (_, top, value) in ours.items()
        if name in theirs
    ]


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
