"""A description of a network for pictures of another size, or other answers, than it was written for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...finding import BadInput

__all__ = ["for_pictures", "with_outputs"]

MATRICES = {"InnerProduct": "inner_product_param", "Convolution": "convolution_param"}
NEW = {"type": "xavier"}  # how a head is drawn whose file, as one for deployment, does not say


def for_pictures(description: Mapping[str, Any], picture: Sequence[int]) -> dict[str, Any]:
    """The description whose input is `picture`, (C, H, W). Raises BadInput."""
    mean = description["mean"]
    if mean is not None and list(mean) != list(picture):
        shown = (" x ".join(map(str, sides)) for sides in (mean, picture))
        raise BadInput("{}: takes a mean picture of {} off, these are {}".format(description["source"], *shown))
    (name,) = description["inputs"]
    return {**description, "inputs": {name: [1, *picture]}}


def with_outputs(description: Mapping[str, Any], old: int, new: int) -> dict[str, Any]:
    """The description whose last matrix of weights makes `new` numbers in place of `old`. Raises BadInput."""
    layers = [dict(layer) for layer in description["layers"]]
    last = next((layer for layer in reversed(layers) if layer["type"] in MATRICES), None)
    if last is None:
        raise BadInput(f"{description['source']}: no layer with a matrix of weights makes its answers")
    where = f"{description['source']}, line {last['line']}: layer {last['name']!r} ({last['type']})"
    said = dict(last[MATRICES[last["type"]]])
    if said["num_output"] != old:
        raise BadInput(f"{where}: makes {said['num_output']} numbers, the network answers with {old}")
    if last["shared"]:
        raise BadInput(f"{where}: shares its weights with other layers, so that it cannot make {new} numbers")
    last[MATRICES[last["type"]]] = {"weight_filler": NEW, **said, "num_output": new}
    return {**description, "layers": layers}
