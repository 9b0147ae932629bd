"""A description of a network for pictures of another size, or other answers, than it was made for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from typing import Any

from ...finding import BadInput

__all__ = ["for_pictures", "with_outputs"]

MATRICES = {"Dense": "units", "Conv2D": "filters"}


def for_pictures(description: Mapping[str, Any], picture: Sequence[int]) -> dict[str, Any]:
    """The description whose input is `picture`, (C, H, W)."""
    channels, height, width = picture
    sides = {"last": [height, width, channels], "first": [channels, height, width], "grey": [height, width]}
    (name,) = description["inputs"]
    return {**description, "inputs": {name: [1, *sides[description["layout"]]]}}


def with_outputs(description: Mapping[str, Any], old: int, new: int) -> dict[str, Any]:
    """The description whose last matrix of weights makes `new` numbers in place of `old`. Raises BadInput.

    One number behind a sigmoid stands for two classes: other than two have a number each.
    """
    config = deepcopy(description["config"])
    found = [layer for layer in _layers(config) if layer["class_name"] in MATRICES]
    if not found:
        raise BadInput("no layer with a matrix of weights makes the network's answers")
    last = found[-1]
    key, makes = MATRICES[last["class_name"]], 1 if description["single"] else old
    if last["config"][key] != makes:
        name = last["config"].get("name", last["class_name"])
        raise BadInput(f"layer {name!r}: makes {last['config'][key]} numbers, the network answers with {makes}")
    last["config"][key] = new
    return {**description, "config": config, "single": False}


def _layers(config: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """Layers in the order of the file, those of nested models in their places."""
    inside = config["config"]
    for layer in inside if isinstance(inside, list) else inside["layers"]:
        yield from _layers(layer) if "layers" in layer["config"] else (layer,)
