"""Give a network the blobs of a .caffemodel, by the names of its layers; and read means."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path

import torch

from ...finding import BadInput, listed, nearest, shown_shape
from .network import CaffeGraph
from .registry import Layer
from .weighted import Weighted
from .wire import Blob, read_blob

__all__ = ["load_weights", "read_mean"]


def load_weights(graph: CaffeGraph, weights: Mapping[str, Sequence[Blob]], source: str) -> list[str]:
    """Fill every layer that has weights; returns the names of layers in the file that the definition has not.

    Raises BadInput where a layer's blobs are missing, of another shape, or hold what is no finite number.
    """
    missing = []
    for layer, module in graph.layers:
        if not isinstance(module, Weighted) or not module.blob_shapes():
            continue
        if layer.name not in weights:
            if not _owned_by_others(graph, layer, weights):
                missing.append(layer.name)
            continue
        module.load_blobs(
            [
                _fitted(layer, number, blob, shape, source)
                for number, (blob, shape) in enumerate(_paired(layer, module, weights[layer.name], source))
            ]
        )
    if missing:
        raise BadInput(
            f"{source}: no weights for {listed(missing)}{nearest(missing[0], weights)}: is it of another network than"
            f" {graph.definition.source}?"
        )
    return sorted(weights.keys() - {layer.name for layer in graph.definition.layers})


def _owned_by_others(graph: CaffeGraph, layer: Layer, weights: Mapping[str, Sequence[Blob]]) -> bool:
    """Whether all of a layer's blobs are another's, which has them."""
    named = {shared.name for other, _ in graph.layers if other.name in weights for shared in other.shared}
    own = next(module for other, module in graph.layers if other is layer)
    assert isinstance(own, Weighted)
    return len(layer.shared) == len(own.blob_shapes()) and all(shared.name in named for shared in layer.shared)


def _paired(layer: Layer, module: Weighted, blobs: Sequence[Blob], source: str) -> list[tuple[Blob, tuple[int, ...]]]:
    shapes = module.blob_shapes()
    if len(blobs) != len(shapes):
        raise BadInput(
            f"{source}: layer {layer.name!r} has {len(blobs)} blobs, {layer.source}, line {layer.line}, makes it"
            f" {len(shapes)}"
        )
    return list(zip(blobs, shapes, strict=True))


def _fitted(layer: Layer, number: int, blob: Blob, shape: tuple[int, ...], source: str) -> torch.Tensor:
    said = _without_ones(blob.shape) if blob.legacy else blob.shape
    wanted = _without_ones(shape) if blob.legacy else shape
    # A vector written as 1 x 1 x 1 x n in an old file, or as 1 x n in a converted one, is that vector.
    if said != wanted and not (prod(said) == prod(wanted) and _without_ones(said) == _without_ones(wanted)):
        raise BadInput(
            f"{source}: layer {layer.name!r}: blob {number} is {shown_shape(blob.shape)}, {layer.source}, line"
            f" {layer.line}, makes it {shown_shape(shape)}"
        )
    value = torch.from_numpy(blob.array()).reshape(shape)
    if not bool(torch.isfinite(value).all()):
        raise BadInput(f"{source}: layer {layer.name!r}: blob {number} holds what is no finite number: damaged?")
    return value


def _without_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(side for side in shape if side != 1)


def read_mean(path: Path) -> torch.Tensor:
    """(C, H, W): the mean picture of a .binaryproto, channels in the network's order."""
    blob = read_blob(path)
    shape = blob.shape[1:] if len(blob.shape) == 4 and blob.shape[0] == 1 else blob.shape
    if len(shape) != 3 or shape[0] not in (1, 3) or prod(shape) > 3 * 2**24:
        raise BadInput(
            f"{path}: a blob of {' x '.join(map(str, blob.shape))} is no mean picture: channels x height x width is"
        )
    mean = torch.from_numpy(blob.array()).reshape(shape)
    if not bool(torch.isfinite(mean).all()):
        raise BadInput(f"{path}: holds what is no finite number: damaged?")
    return mean
