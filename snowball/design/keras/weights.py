"""Give a network the numbers of its file: by place in a .keras, by order in a .h5, as Keras itself does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from ...finding import BadInput, listed, shown_shape
from .archive import Archive
from .network import KerasGraph
from .weighted import KerasModule, Variable

__all__ = ["load_weights"]

UNREAD = ("seed_generator", "random_generator")  # states of random numbers, which belong to training


def load_weights(graph: KerasGraph, archive: Archive, source: str) -> list[str]:
    """Fill every layer; returns the places of weights in the file that no layer takes up.

    Raises BadInput where weights are missing, of another shape, or hold what is no finite number.
    """
    pairs = list(_by_place(graph, "")) if archive.layers is None else list(_by_order(graph, archive.layers, source))
    missing = [place for _, _, place in pairs if place not in archive.tensors]
    if missing:
        raise BadInput(f"{source}: no weights at {listed(missing)}")
    for _, variable, place in pairs:
        _check(variable, archive.tensors[place], place, source)
    graph.allocate()
    for module, variable, place in pairs:
        module.load(variable, archive.tensors[place])
    taken = {place for _, _, place in pairs}
    return sorted(place for place in archive.tensors.keys() - taken if not set(place.split("/")) & set(UNREAD))


def _by_place(module: KerasModule, place: str) -> Iterator[tuple[KerasModule, Variable, str]]:
    """Variable i of an object is `vars/i` in the object's group."""
    counts: dict[str, int] = {}
    for variable in module.variables:
        number = counts[variable.group] = counts.get(variable.group, -1) + 1
        yield module, variable, "/".join(part for part in (place, variable.group, "vars", str(number)) if part)
    for name, part in module.parts():
        yield from _by_place(part, f"{place}/{name}" if place else name)


def _by_order(
    graph: KerasGraph, layers: Mapping[str, list[tuple[str, str]]], source: str
) -> Iterator[tuple[KerasModule, Variable, str]]:
    """A layer's weights stand in one list, of a nested model too: first those that train, then the others."""
    for name, module in graph.layers.items():
        wanted = [*_flat(module, True, True), *_flat(module, True, False)]
        there = [weight for weight in layers.get(name, ()) if not set(weight[0].split("/")) & set(UNREAD)]
        if len(there) != len(wanted):
            raise BadInput(f"{source}: layer {name!r} has {len(there)} weights in the file, {len(wanted)} are right")
        for (inner, variable), (said, place) in zip(wanted, there, strict=True):
            own = (said.rsplit("/", 1)[-1]).split(":")[0]
            if own not in (variable.name, variable.called):
                raise BadInput(f"{source}: layer {name!r}: {said!r} stands where {variable.name!r} is right")
            yield inner, variable, place


def _flat(module: KerasModule, trains: bool, wanted: bool) -> Iterator[tuple[KerasModule, Variable]]:
    """A module's variables and its parts', those that train or those that do not."""
    trains = trains and module.trains
    for variable in module.variables:
        if (trains and variable.trains) is wanted:
            yield module, variable
    for _, part in module.parts():
        yield from _flat(part, trains, wanted)


def _check(variable: Variable, value: Tensor, place: str, source: str) -> None:
    if tuple(value.shape) != variable.shape:
        found, right = map(shown_shape, (value.shape, variable.shape))
        raise BadInput(f"{source}: {place} ({variable.name}) is {found}, the layer makes it {right}")
    if not bool(torch.isfinite(value).all()):
        raise BadInput(f"{source}: {place} ({variable.name}) holds what is no finite number: damaged?")
