"""Caffe: a .prototxt, its .caffemodel, and perhaps a mean as .binaryproto. Shapes: N rows, C channels, H, W."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...finding import BadInput, Finding, listed
from ...imported import Difference, Imported, ImportSection, Scores, per_channel
from ..caffe.definition import Definition, State, read_definition
from ..caffe.network import CaffeGraph, pruned
from ..caffe.opencv import compare_with_opencv
from ..caffe.refit import for_pictures, with_outputs
from ..caffe.weights import load_weights, read_mean
from ..caffe.wire import Blob, read_weights
from . import Format

__all__ = ["Caffe", "CaffeScores"]

DEFINITIONS = (".prototxt", ".pbtxt", ".prototxt.txt")
# What may stand last in a classifier that has no softmax: its numbers are scores.
LINEAR = frozenset(
    ("InnerProduct", "Convolution", "Pooling", "Flatten", "Reshape", "Scale", "Bias", "BatchNorm", "ReLU")
)


class CaffeScores(nn.Module):
    """The part of a network that makes the scores; where the mean is a picture, it is taken off first.

    (N, C, H, W) to (N, K).
    """

    mean: Tensor

    def __init__(self, graph: CaffeGraph, mean: Sequence[int] | None) -> None:
        super().__init__()
        self.graph = graph
        self._subtracts = mean is not None
        if mean is not None:
            self.register_buffer("mean", torch.zeros(*mean))

    def forward(self, image: Tensor) -> Tensor:
        found = self.graph(image - self.mean if self._subtracts else image)
        scores: Tensor = found[self.graph.outputs[0]]
        return scores.flatten(1)


class Caffe(Format):
    """Caffe's networks, of all three generations of the format."""

    key = "caffe"
    suffixes = frozenset((*DEFINITIONS, ".caffemodel", ".binaryproto"))
    usage = "deploy.prototxt net.caffemodel [mean.binaryproto]"
    checks: ClassVar[tuple[str, ...]] = ("opencv",)
    for_pictures = staticmethod(for_pictures)
    with_outputs = staticmethod(with_outputs)

    @classmethod
    def read(cls, files: Sequence[Path], section: ImportSection, asked: Mapping[str, Any]) -> Imported:
        path, weights_path, mean_path = _sort(files, section)
        definition = read_definition(path, State())
        weights = read_weights(weights_path)
        graph = CaffeGraph(definition, _shapes(definition, weights, asked))
        found = _scores_blob(definition, graph)
        findings = _unused(definition, weights, weights_path) + _mean_missing(definition, section, mean_path)
        scores = None
        if found is not None:
            part = pruned(definition, *found)
            scores = _scores(part, graph, weights, weights_path, mean_path, section, asked)
            if mean_path is not None and scores is not None and (sides := scores.description["mean"]):
                message = f"{mean_path}: {' x '.join(map(str, sides))}; the network itself takes it off its pictures"
                findings.append(Finding("mean-picture", "note", message, {"shape": sides}))
        instead = f'snowball.load_caffe("{path}", "{weights_path}")'
        return Imported(path.stem, graph.rows, graph.outputs, scores, instead, findings)

    @classmethod
    def network(cls, description: Mapping[str, Any]) -> nn.Module:
        definition = Definition.from_json(description)
        graph = CaffeGraph(definition)
        graph.allocate()
        return CaffeScores(graph, description["mean"])

    @classmethod
    def compare(cls, files: Sequence[Path], imported: Imported, check: str) -> list[Difference]:
        assert imported.scores is not None and isinstance(imported.scores.network, CaffeScores)
        network = imported.scores.network.eval()
        image = imported.scores.made_up_picture() - (network.mean if network._subtracts else 0)
        path, weights_path, _ = _sort(files, ImportSection())
        (name,) = network.graph.inputs
        graph = CaffeGraph(read_definition(path, State()), {name: tuple(image.shape)})  # the softmax and all
        graph.allocate()
        load_weights(graph, read_weights(weights_path), str(weights_path))
        return compare_with_opencv(path, weights_path, graph.eval(), {name: image})


def _sort(files: Sequence[Path], section: ImportSection) -> tuple[Path, Path, Path | None]:
    """Definition, weights and mean among the files, by their endings."""
    kinds: dict[str, list[Path]] = {"definition": [], "weights": [], "mean": []}
    for path in files:
        name = path.name.lower()
        kind = "definition" if name.endswith(DEFINITIONS) else "mean" if name.endswith(".binaryproto") else "weights"
        kinds[kind].append(path)
    for kind in ("definition", "weights"):
        if len(kinds[kind]) != 1:
            raise BadInput(f"{len(kinds[kind])} files of the {kind}: snowball import {Caffe.usage}")
    said = section.mean if isinstance(section.mean, str) else None
    if said is not None and _numbers(said) is None:
        kinds["mean"].append(Path(said))
    if len(kinds["mean"]) > 1 or (kinds["mean"] and section.mean is not None and _numbers(section.mean) is not None):
        raise BadInput("the mean is given twice")
    return kinds["definition"][0], kinds["weights"][0], kinds["mean"][0] if kinds["mean"] else None


def _numbers(mean: str | float) -> list[float] | None:
    """`104,117,123` as numbers; None for a file's name."""
    try:
        return [float(part) for part in str(mean).split(",")]
    except ValueError:
        return None


def _shapes(
    definition: Definition, weights: Mapping[str, Sequence[Blob]], asked: Mapping[str, Any]
) -> dict[str, tuple[int, ...]]:
    """The shape of one picture: as asked, else as the files say; its channels as the first layer's weights."""
    if not definition.inputs:
        return {}
    name, own = next(iter(definition.inputs.items()))
    if own is not None and len(own) != 4:
        return {}
    crop = int(definition.transform.get("crop_size", 0))
    size = asked.get("image.size") or (own[2:] if own else crop or None)
    if size is None:
        raise BadInput(f"{definition.source}: does not say how large its pictures are: image.size=N says it")
    height, width = (size, size) if isinstance(size, int) else size
    channels = asked.get("image.channels") or (own[1] if own else _channels(definition, name, weights))
    return {name: (1, int(channels), int(height), int(width))}


def _channels(definition: Definition, name: str, weights: Mapping[str, Sequence[Blob]]) -> int:
    for layer in definition.layers:
        if name in layer.bottoms and layer.type == "Convolution" and layer.name in weights:
            shape = weights[layer.name][0].shape
            groups = int(layer.parameters.get("convolution_param", {}).get("group", 1))
            return shape[1] * groups if len(shape) == 4 else 3
    return 3


def _scores_blob(definition: Definition, graph: CaffeGraph) -> tuple[str, int] | None:
    """The blob with a score for each class, and the number of the layer before which it is that; None: no classifier.

    That is what the last softmax takes up, in a loss or on its own; or, with neither, the only output.
    """
    numbered = list(enumerate(definition.layers))
    for kind in ("SoftmaxWithLoss", "Softmax"):
        last = next(((number, layer) for number, layer in reversed(numbered) if layer.type == kind), None)
        if last is None or (kind == "Softmax" and graph.outputs != list(last[1].tops)):
            continue
        return last[1].bottoms[0], last[0]
    if len(graph.outputs) != 1:
        return None
    maker = next(layer for layer in reversed(definition.layers) if graph.outputs[0] in layer.tops)
    return (graph.outputs[0], len(numbered)) if maker.type in LINEAR else None


def _scores(
    part: Definition,
    graph: CaffeGraph,
    weights: Mapping[str, Sequence[Blob]],
    weights_path: Path,
    mean_path: Path | None,
    section: ImportSection,
    asked: Mapping[str, Any],
) -> Scores | None:
    inputs = {name: graph.inputs[name] for name in part.inputs}
    if len(inputs) != 1 or not part.layers:
        return None
    (picture,) = (shape[1:] for shape in inputs.values())
    if len(picture) != 3 or picture[0] not in (1, 3):
        return None
    own = CaffeGraph(part, inputs)
    (blob,) = own.outputs[:1] or [""]
    shape = own.shape(blob)
    if len(own.outputs) != 1 or len(shape) < 2 or shape[1] < 2 or any(side != 1 for side in shape[2:]):
        return None
    own.allocate()
    load_weights(own, weights, str(weights_path))
    scale = section.scale or float(part.transform.get("scale", 1.0))
    if not 0 < scale < math.inf:
        raise BadInput(f"{part.source}: multiplies pixels with {scale:g}: scale= says another")
    std = [value / scale for value in per_channel("std", 1.0 if section.std is None else section.std, picture[0])]
    numbers, whole = _mean(part, section, mean_path, picture)
    network = CaffeScores(own, None if whole is None else picture)
    if whole is not None:
        network.mean.copy_(whole / torch.tensor(std)[:, None, None])
    order = asked.get("image.order", "bgr" if picture[0] == 3 else "rgb")
    said = part.to_json() | {"inputs": {name: list(shape) for name, shape in inputs.items()}}
    description = {"format": Caffe.key, **said, "mean": None if whole is None else list(picture)}
    height, width = picture[1:]
    return Scores(
        network.eval(),
        description,
        (picture[0], height, width),
        shape[1],
        numbers,
        std,
        {"image.order": order},
    )


def _mean(
    definition: Definition, section: ImportSection, path: Path | None, picture: tuple[int, ...]
) -> tuple[list[float], Tensor | None]:
    """A number for each channel, and the mean picture, (C, H, W), where it is one: its middle, if it is larger."""
    channels, height, width = picture
    if path is not None:
        whole = read_mean(path)
        if whole.shape[0] != channels or whole.shape[1] < height or whole.shape[2] < width:
            raise BadInput(
                f"{path}: a mean of {' x '.join(map(str, whole.shape))}, the network's pictures are"
                f" {' x '.join(map(str, picture))}"
            )
        top, left = (whole.shape[1] - height) // 2, (whole.shape[2] - width) // 2
        return [0.0] * channels, whole[:, top : top + height, left : left + width]
    said = section.mean if section.mean is not None else None
    numbers = _numbers(said) if said is not None else definition.transform.get("mean_value", [0.0])
    assert numbers is not None  # a file's name is a path
    if len(numbers) not in (1, channels):
        raise BadInput(f"mean: {len(numbers)} numbers for {channels} channels")
    return [float(number) for number in numbers] * (channels // len(numbers)), None


def _mean_missing(definition: Definition, section: ImportSection, path: Path | None) -> list[Finding]:
    named = definition.transform.get("mean_file")
    if not named or path is not None or section.mean is not None:
        return []
    message = (
        f"{definition.source} takes the mean {named!r} off each picture, which was not given: answers will be wrong"
    )
    return [Finding("mean-missing", "warning", message, {"mean_file": named}, "name the file, or mean=104,117,123")]


def _unused(definition: Definition, weights: Mapping[str, Sequence[Blob]], path: Path) -> list[Finding]:
    unused = sorted(weights.keys() - {layer.name for layer in definition.layers})
    if not unused:
        return []
    message = f"{path.name} holds weights of {len(unused)} layers that {definition.source} does not name:"
    message += f" {listed(unused)}"
    return [Finding("weights-unused", "note", message, {"layers": unused})]
