"""Keras: one .keras file, or a .h5 file of a whole model. Shapes: N rows, H, W, C channels, K classes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ...finding import BadInput, Finding, listed
from ...imported import Imported, ImportSection, Scores
from ..keras.archive import Archive, read_archive
from ..keras.definition import Layer, Model, parse_model
from ..keras.load import major
from ..keras.network import KerasGraph, build_graph, input_shapes, said_shapes
from ..keras.refit import for_pictures, with_outputs
from ..keras.weights import load_weights
from . import Format

__all__ = ["Keras", "KerasScores"]

PREPARING = frozenset(("Rescaling", "Normalization"))  # layers at the front that say what is done to pixels
ROWS_OF_PIXELS = frozenset(("Flatten", "Reshape", *PREPARING))  # that take up (N, H, W) as grey pictures, not as steps


class KerasScores(nn.Module):
    """A classifier without its last softmax: (N, C, H, W) to scores (N, K).

    A network with one answer between 0 and 1 is a classifier of two: the score of the first class is 0.
    """

    def __init__(self, graph: KerasGraph, layout: str, *, single: bool) -> None:
        super().__init__()
        self.graph = graph
        self._layout, self._single = layout, single

    def forward(self, image: Tensor) -> Tensor:
        if self._layout == "last":
            image = image.permute(0, 2, 3, 1)
        elif self._layout == "grey":
            image = image[:, 0]
        scores: Tensor = self.graph(image).flatten(1)
        return torch.cat((torch.zeros_like(scores), scores), 1) if self._single else scores


class Keras(Format):
    """Keras's networks, as Keras 3 and Keras 2 write them; Keras is not needed."""

    key = "keras"
    suffixes = frozenset((".keras", ".h5", ".hdf5"))
    usage = "model.keras"
    for_pictures = staticmethod(for_pictures)
    with_outputs = staticmethod(with_outputs)

    @classmethod
    def read(cls, files: Sequence[Path], section: ImportSection, asked: Mapping[str, Any]) -> Imported:
        path = cls.one_file(files)
        archive = read_archive(path)
        model = parse_model(archive.config, path.name)
        inputs = _inputs(model, asked)
        graph, rows = build_graph(model, inputs, major(archive.version))
        unused = load_weights(graph, archive, path.name)
        scores, last = _scores(model, graph, archive, inputs, section)
        outputs = [name or ref.layer for name, ref in zip(_names(model), model.outputs, strict=True)]
        findings = _unused(unused, path) + (_assumed(model, section, last) if scores else [])
        return Imported(path.stem, rows, outputs, scores, f'snowball.load_keras("{path}")', findings)

    @classmethod
    def network(cls, description: Mapping[str, Any]) -> nn.Module:
        model = parse_model(description["config"], "schema.json")
        inputs = input_shapes(model, description["inputs"])
        graph, _ = build_graph(model, inputs, int(description["version"]))
        graph.allocate()
        graph.take_softmax_off()
        return KerasScores(graph, str(description["layout"]), single=bool(description["single"]))


def _names(model: Model) -> Sequence[str]:
    return model.output_names or [""] * len(model.outputs)


def _inputs(model: Model, asked: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of each input; what the file leaves open of a picture is `image.size` and `image.channels`."""
    if len(model.inputs) != 1:
        return input_shapes(model, {})
    ((name, own),) = said_shapes(model).items()
    layout, size = _layout(model, own), asked.get("image.size")
    if not layout or (size is None and None not in own):
        return input_shapes(model, {})
    if size is None and None in (own[2:] if layout == "first" else own[1:3]):
        raise BadInput(f"{model.layers[0].source}: does not say how large its pictures are: image.size=N says it")
    first, last = (own[1:2], own[3:]) if layout == "first" else ((), own[3:])
    sides = own[2:] if layout == "first" else own[1:3]
    wanted = sides if size is None else (size, size) if isinstance(size, int) else tuple(size)
    if any(side not in (None, other) for side, other in zip(sides, wanted, strict=True)):
        raise BadInput(f"image.size={size}: the file says {' x '.join(str(side or '?') for side in sides)}")
    channels = asked.get("image.channels", 3)
    shape = [channels if side is None else side for side in (*first, *wanted, *(() if first else last))]
    return input_shapes(model, {name: [1, *shape]})


def _every(model: Model) -> Iterator[Layer]:
    """Layers in the order of the file, nested ones too."""
    for layer in model.layers:
        yield layer
        if layer.model is not None:
            yield from _every(layer.model)


def _layout(model: Model, shape: Sequence[int | None]) -> str:
    """Where the channels of a picture are: `last`, `first`, or `grey` where there are none; empty where it is none."""
    if len(shape) == 3:
        (name,) = (ref.layer for ref in model.inputs)
        takers = [
            layer.type
            for layer in model.layers
            if any(ref.layer == name for call in layer.calls for ref in call.needs())
        ]
        return "grey" if takers and ROWS_OF_PIXELS.issuperset(takers) else ""
    if len(shape) != 4:
        return ""
    first = any(layer.config.get("data_format") == "channels_first" for layer in _every(model))
    return "first" if first else "last"


def _scores(
    model: Model,
    graph: KerasGraph,
    archive: Archive,
    inputs: Mapping[str, tuple[int, ...]],
    section: ImportSection,
) -> tuple[Scores | None, str]:
    """The classifier, if it is one of pictures, and the name of what its answers went through."""
    if len(inputs) != 1 or len(model.outputs) != 1:
        return None, ""
    ((name, shape),) = inputs.items()
    layout = _layout(model, shape)
    channels = {"last": shape[-1], "first": shape[1], "grey": 1}.get(layout)
    if channels not in (1, 3):
        return None, ""
    height, width = shape[2:] if layout == "first" else shape[1:3]
    (made,) = graph.shapes
    last = graph.take_softmax_off()
    single = last == "sigmoid" and made[-1] == 1
    if any(side != 1 for side in made[1:-1]) or not (single or (last in ("softmax", "linear") and made[-1] > 1)):
        return None, ""
    description = {
        "format": Keras.key,
        "config": json.loads(archive.config),
        "version": major(archive.version),
        "inputs": {name: list(shape)},
        "layout": layout,
        "single": single,
    }
    mean, std = section.standardisation(channels)
    return Scores(
        KerasScores(graph, layout, single=single).eval(),
        description,
        (channels, height, width),
        2 if single else made[-1],
        mean,
        std,
    ), last


def _assumed(model: Model, section: ImportSection, last: str) -> list[Finding]:
    """What the file does not say, and answers hang on."""
    found = []
    prepared = any(layer.type in PREPARING for layer in _every(model))
    if not section.says_pixels():
        message = "pixels go in as 0..255, since neither mean=, scale= nor std= says otherwise"
        if prepared:
            found.append(Finding("pixels-assumed", "note", f"{message}; the network prepares them itself"))
        else:
            message += (
                "; the network has no layer that prepares them, and one that learned from 0..1 answers wrongly so"
            )
            fix = "scale=0.00392156862745098 for 0..1; mean=127.5 scale=0.00784313725490196 for -1..1"
            found.append(Finding("pixels-assumed", "warning", message, {}, fix))
    if last == "linear":
        message = "the last layer has neither softmax nor sigmoid: its numbers are taken as scores of classes"
        found.append(Finding("scores-assumed", "note", message))
    return found


def _unused(places: Sequence[str], path: Path) -> list[Finding]:
    if not places:
        return []
    message = f"{path.name} holds {len(places)} weights that no layer takes up: {listed(places)}"
    return [Finding("weights-unused", "note", message, {"weights": list(places)})]
