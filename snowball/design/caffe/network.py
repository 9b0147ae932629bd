"""A definition as a network: each layer's module, the shapes of every blob, and the blobs passed on by name.

Shapes are found by running the layers on the meta device, where nothing is allocated; only then are there weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from math import prod

import torch
from torch import Tensor, nn

from ...finding import BadInput, brief, shown_shape
from ...imported import LayerRow
from .definition import Definition
from .registry import Layer, Shape, Spec, layer_builder
from .weighted import Weighted

__all__ = ["CaffeGraph", "pruned"]

MAX_BLOB = 2**29  # numbers in one blob
MAX_WEIGHTS = 2**28  # numbers in all weights, 1 GiB: VGG-19 has 144 million
MAX_DIMENSIONS = 32


class CaffeGraph(nn.Module):
    """The layers of a definition. Tensors in, a dict of the blobs that no layer takes up out.

    `shapes` says or replaces the shapes of inputs. The modules are on the meta device until `allocate`. Raises BadInput
    that names file, line and layer.
    """

    def __init__(self, definition: Definition, shapes: Mapping[str, Shape] | None = None) -> None:
        super().__init__()
        self.definition = definition
        self.inputs = _input_shapes(definition, shapes or {})
        self.rows: list[LayerRow] = []
        self._names: list[str] = []
        found: dict[str, Shape] = dict(self.inputs)
        count = 0
        for number, layer in enumerate(definition.layers):
            _check_tops(layer, found, definition.layers[number + 1 :])
            module, tops = _build(layer, [found[name] for name in layer.bottoms])
            found |= dict(zip(layer.tops, tops, strict=True))
            weights = sum(prod(shape) for shape in module.blob_shapes()) if isinstance(module, Weighted) else 0
            count += weights
            if count > MAX_WEIGHTS:
                raise layer.wrong(f"{count:,} weights up to here; {MAX_WEIGHTS:,} are possible")
            self.rows.append(LayerRow(layer.name, layer.type, tuple(tops), weights))
            self._names.append(f"{number:03}_{re.sub('[^0-9A-Za-z_]', '_', layer.name)[:60]}")
            self.add_module(self._names[-1], module)
        self._tie()
        taken = {bottom for layer in definition.layers for bottom in layer.bottoms if bottom not in layer.tops}
        self.outputs = [name for name in found if name not in taken and name not in self.inputs]
        self._done_with = _last_uses(definition.layers, self.outputs)

    @property
    def layers(self) -> list[tuple[Layer, nn.Module]]:
        return [(layer, getattr(self, name)) for layer, name in zip(self.definition.layers, self._names, strict=True)]

    def shape(self, blob: str) -> Shape:
        """Of a blob, as it is at the end."""
        found = dict(self.inputs)
        for layer, row in zip(self.definition.layers, self.rows, strict=True):
            found |= dict(zip(layer.tops, row.shapes, strict=True))
        return found[blob]

    def _tie(self) -> None:
        """Give blobs of one name to all layers that name them."""
        owners: dict[str, tuple[Layer, nn.Parameter]] = {}
        for layer, module in self.layers:
            for shared in layer.shared:
                if not isinstance(module, Weighted) or shared.blob >= len(module.blobs):
                    raise layer.wrong(f"names blob {shared.blob} {shared.name!r}, which it has not")
                own: nn.Parameter = getattr(module, module.blobs[shared.blob])
                owner, theirs = owners.setdefault(shared.name, (layer, own))
                if theirs.shape != own.shape:
                    raise layer.wrong(
                        f"shares {shared.name!r} of {tuple(own.shape)} with {owner.name!r}, where it is"
                        f" {tuple(theirs.shape)}"
                    )
                setattr(module, module.blobs[shared.blob], theirs)

    def allocate(self) -> None:
        """Move what is on the meta device to the CPU, and draw new weights as the fillers say."""
        seen: dict[int, nn.Parameter] = {}
        for module in self.modules():
            for name, weights in list(module._parameters.items()):
                if weights is not None and weights.is_meta:
                    made = seen.setdefault(id(weights), nn.Parameter(torch.empty_like(weights, device="cpu")))
                    module._parameters[name] = made
            for name, buffer in list(module._buffers.items()):
                if buffer is not None and buffer.is_meta:
                    module._buffers[name] = torch.empty_like(buffer, device="cpu")
        for module in self.modules():
            if isinstance(module, Weighted):
                module.draw_blobs()

    def run(
        self, inputs: Mapping[str, Tensor], made: Callable[[Layer, str, Tensor], None] | None = None
    ) -> dict[str, Tensor]:
        """Every blob as it is at the end. Layers that want an input which is not given, such as labels, are left out.

        `made` is told each blob as a layer makes it, before another works on it in place.
        """
        blobs = dict(inputs)
        for layer, name in zip(self.definition.layers, self._names, strict=True):
            if not all(bottom in blobs for bottom in layer.bottoms):
                continue
            found = getattr(self, name)(*(blobs[bottom] for bottom in layer.bottoms))
            for top, value in zip(layer.tops, found if isinstance(found, tuple | list) else (found,), strict=True):
                blobs[top] = value
                if made is not None:
                    made(layer, top, value)
        return blobs

    def ends(self, blobs: Mapping[str, Tensor]) -> list[str]:
        """Those of the blobs that a run made and none of its layers took up."""
        ran = [layer for layer in self.definition.layers if layer.tops and all(top in blobs for top in layer.tops)]
        taken = {bottom for layer in ran for bottom in layer.bottoms if bottom not in layer.tops}
        return [name for name in blobs if name not in taken and name not in self.inputs]

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The outputs, for inputs in their order; blobs are let go when the last layer that takes them has run."""
        blobs = dict(zip(self.inputs, inputs, strict=False))
        for layer, name, done in zip(self.definition.layers, self._names, self._done_with, strict=True):
            if not all(bottom in blobs for bottom in layer.bottoms):
                continue
            found = getattr(self, name)(*(blobs[bottom] for bottom in layer.bottoms))
            blobs |= dict(zip(layer.tops, found if isinstance(found, tuple | list) else (found,), strict=True))
            for blob in done:
                blobs.pop(blob, None)
        return {name: blobs[name] for name in self.outputs if name in blobs}


def pruned(definition: Definition, blob: str, before: int) -> Definition:
    """Only what makes `blob`, as it is before layer number `before` runs."""
    wanted, kept = {blob}, []
    for layer in reversed(definition.layers[:before]):
        if wanted & set(layer.tops):
            kept.append(layer)
            wanted = (wanted - set(layer.tops)) | set(layer.bottoms)
    inputs = {name: shape for name, shape in definition.inputs.items() if name in wanted}
    return replace(definition, layers=tuple(reversed(kept)), inputs=inputs)


def _last_uses(layers: Iterable[Layer], outputs: list[str]) -> list[list[str]]:
    """For each layer, the blobs that nothing needs any more once it has run."""
    seen = set(outputs)
    found = []
    for layer in reversed(list(layers)):
        names = {*layer.bottoms, *layer.tops} - seen
        seen |= names
        found.append(sorted(names))
    return found[::-1]


def _input_shapes(definition: Definition, said: Mapping[str, Shape]) -> dict[str, Shape]:
    unknown = set(said) - set(definition.inputs)
    if unknown:
        raise BadInput(
            f"{definition.source}: no input {min(unknown)!r}; there is {', '.join(definition.inputs) or 'none'}"
        )
    if not definition.inputs:
        raise BadInput(f"{definition.source}: no input: neither 'input' nor a layer that brings data in")
    shapes: dict[str, Shape] = {}
    for name, own in definition.inputs.items():
        shape = said.get(name, own)
        if shape is None and shapes:
            shape = (next(iter(shapes.values()))[0],)  # one label a row
        if shape is None:
            raise BadInput(
                f"{definition.source}: the shape of input {name!r} is not said there:"
                f' give it, e.g. shapes={{"{name}": (1, 3, 224, 224)}}'
            )
        if not 0 < len(shape) <= MAX_DIMENSIONS or min(shape) < 1 or prod(shape) > MAX_BLOB:
            raise BadInput(f"{definition.source}: input {name!r} is {shown_shape(shape)}")
        shapes[name] = tuple(shape)
    return shapes


def _check_tops(layer: Layer, found: Mapping[str, Shape], behind: Iterable[Layer]) -> None:
    for bottom in layer.bottoms:
        if bottom in found:
            continue
        later = next((other for other in behind if bottom in other.tops), None)
        if later is None:
            raise layer.wrong(f"its bottom {bottom!r} is made by no layer, and is no input")
        raise layer.wrong(
            f"its bottom {bottom!r} is made only later, by {later.name!r} in line {later.line}: layers stand in the"
            " order in which they run, and cannot go in circles"
        )
    for number, top in enumerate(layer.tops):
        if top in layer.tops[:number] or (top in found and top not in layer.bottoms):
            raise layer.wrong(f"its top {top!r} was made before: only a layer that works in place makes it again")
    if not layer.bottoms:
        raise layer.wrong("no bottom")


def _build(layer: Layer, shapes: list[Shape]) -> tuple[nn.Module, list[Shape]]:
    builder, message = layer_builder(layer)
    try:
        with torch.device("meta"):
            module = builder(Spec(layer, message, shapes)).eval()
            _check_weights(layer, module)
            with torch.no_grad():
                found = module(*(torch.empty(shape) for shape in shapes))
    except BadInput:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, KeyError) as error:
        shown = ", ".join(shown_shape(shape) for shape in shapes)
        raise layer.wrong(f"cannot take {shown}: {brief(error)}") from error
    tops = [tuple(top.shape) for top in (found if isinstance(found, tuple | list) else (found,))]
    if len(tops) != len(layer.tops):
        if len(layer.tops) == 0 and len(tops) == 1:
            raise layer.wrong("no top")
        raise layer.wrong(f"{len(layer.tops)} tops, {len(tops)} would be right")
    for shape in tops:
        if prod(shape) > MAX_BLOB or (prod(shape) == 0):
            raise layer.wrong(f"makes {shown_shape(shape)} of {', '.join(shown_shape(bottom) for bottom in shapes)}")
    return module, tops


def _check_weights(layer: Layer, module: nn.Module) -> None:
    if isinstance(module, Weighted):
        for shape in module.blob_shapes():
            if prod(shape) > MAX_WEIGHTS:
                raise layer.wrong(f"weights of {shown_shape(shape)}; {MAX_WEIGHTS:,} numbers are possible")
