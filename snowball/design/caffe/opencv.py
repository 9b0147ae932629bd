"""The same files through OpenCV's reader, blob by blob: an implementation that shares nothing with this one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from ...finding import BadInput, brief
from ...imported import Difference, relative_difference
from .network import CaffeGraph
from .registry import Layer

__all__ = ["compare_with_opencv"]

_FINDS = "DetectionOutput"


def compare_with_opencv(
    definition: Path, weights: Path, graph: CaffeGraph, inputs: Mapping[str, torch.Tensor]
) -> list[Difference]:
    """Every blob that OpenCV gives for these inputs, in the order of the layers. Raises BadInput where it cannot.

    OpenCV reads files for deployment only: of one for training it is given the layers that were read here.
    """
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
        if any(shape is None for shape in graph.definition.inputs.values()):
            text = graph.definition.to_text({name: tuple(value.shape) for name, value in inputs.items()}).encode()
            network = cv2.dnn.readNetFromCaffe(
                *(np.frombuffer(part, np.uint8) for part in (text, weights.read_bytes()))
            )
        else:
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
        raise BadInput(
            f"check=opencv: OpenCV {cv2.__version__} does not take {definition.name}: {brief(error)}"
        ) from error
    return [
        Difference(
            name,
            top,
            relative_difference(*map(_found, (value, theirs[name])))
            if layer.type == _FINDS
            else relative_difference(value, theirs[name]),
        )
        for name, (layer, top, value) in ours.items()
        if name in theirs
    ]


def _found(rows: np.ndarray) -> np.ndarray:
    """(1, 1, found, 7) by row, class and score, without the rows of zeros that OpenCV fills up with.

    Caffe gives classes one after another; OpenCV, where `keep_top_k` cuts some off, the best of all classes first.
    """
    found = rows[0, 0][rows[0, 0].any(1)]
    ordered: np.ndarray = found[np.lexsort((-found[:, 2], found[:, 1], found[:, 0]))]
    return ordered[None, None]
