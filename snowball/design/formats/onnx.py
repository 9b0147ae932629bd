"""ONNX: one .onnx file. Shapes: N rows, C channels, H, W, K classes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ...finding import BadInput, Finding, brief
from ...imported import Difference, Imported, ImportSection, Scores
from ..onnx.definition import Definition, Input, pruned, read_definition
from ..onnx.file import OnnxFile, StoredTensor, read_onnx_file
from ..onnx.load import input_shapes
from ..onnx.network import OnnxGraph
from ..onnx.refit import for_any_rows, with_outputs
from ..onnx.runtime import compare_with_onnxruntime
from . import Format

__all__ = ["Onnx", "OnnxScores"]

OWN = "snowball"  # the key under which Snowball's own files hold their recipe and schema
OWN_BYTES = 2**24  # of that text
ROWS = 2  # that are answered at once, and singly, when a file was written for one
MOST_HELD = 2**26  # numbers beside the weights while they are, 256 MiB: VGG at 512 x 512 holds as many
CLOSE = 1e-3  # of the largest score: what sums in another order stay far below
# What numbers pass through unchanged, and what may stand last in a classifier that has no softmax.
PASSING = frozenset(("Identity", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Cast", "Dropout"))
LINEAR = frozenset(("Gemm", "MatMul", "Add", "Sub", "Mul", "Div", "Conv", "BatchNormalization", "Relu", "ReduceMean"))
LINEAR |= {"GlobalAveragePool", "AveragePool", "MaxPool", "GlobalMaxPool", "Transpose", "Concat", "Slice", "Gather"}


class OnnxScores(nn.Module):
    """The part of a graph that makes the scores: (N, C, H, W) to (N, K). Graphs from TensorFlow want (N, H, W, C)."""

    def __init__(self, graph: OnnxGraph, *, channels_last: bool) -> None:
        super().__init__()
        self.graph = graph
        self._channels_last = channels_last

    def forward(self, image: Tensor) -> Tensor:
        found = self.graph(image.permute(0, 2, 3, 1) if self._channels_last else image)
        scores: Tensor = found[self.graph.definition.outputs[0]]
        return scores.flatten(1)


class Onnx(Format):
    """Graphs of ONNX's own operators, from any exporter."""

    key = "onnx"
    suffixes = frozenset((".onnx",))
    usage = "net.onnx"
    checks: ClassVar[tuple[str, ...]] = ("onnxruntime",)

    @classmethod
    def read(cls, files: Sequence[Path], section: ImportSection, asked: Mapping[str, Any]) -> Imported:
        path = cls.one_file(files)
        file = read_onnx_file(path)
        definition, stored = read_definition(file)
        own = _own(file)
        shapes = _shapes(definition, own, asked)
        graph = OnnxGraph(definition, shapes)
        scores = _scores(definition, graph, stored, own, section, asked)
        findings = [] if scores is None or own else _unsaid(section)
        instead = f'snowball.load_onnx("{path}")'
        return Imported(path.stem, graph.rows, list(definition.outputs), scores, instead, findings)

    @classmethod
    def network(cls, description: Mapping[str, Any]) -> nn.Module:
        definition = Definition.from_json(description)
        graph = OnnxGraph(definition, input_shapes(definition, {}))
        graph.allocate()
        return OnnxScores(graph, channels_last=bool(description["channels_last"]))

    @staticmethod
    def for_pictures(description: Mapping[str, Any], picture: Sequence[int]) -> Mapping[str, Any]:
        definition = Definition.from_json(description)
        ((name, one),) = definition.inputs.items()
        sides = _sides(picture, channels_last=bool(description["channels_last"]))
        definition = replace(definition, inputs={name: Input(one.type, (None, *sides))})
        return {**description, **definition.to_json()}

    @staticmethod
    def with_outputs(description: Mapping[str, Any], old: int, new: int) -> Mapping[str, Any]:
        return {**description, **with_outputs(Definition.from_json(description), old, new).to_json()}

    @classmethod
    def compare(cls, files: Sequence[Path], imported: Imported, check: str) -> list[Difference]:
        assert imported.scores is not None and isinstance(imported.scores.network, OnnxScores)
        image = imported.scores.made_up_picture()
        path = cls.one_file(files)
        file = read_onnx_file(path)
        definition, stored = read_definition(file)
        ((name, one),) = definition.inputs.items()
        if imported.scores.network._channels_last:
            image = image.permute(0, 2, 3, 1).contiguous()
        image = image.to(getattr(torch, one.type))
        graph = OnnxGraph(definition, {name: tuple(image.shape)})  # the softmax and all
        graph.allocate()
        graph.load(stored, file.source)
        return compare_with_onnxruntime(path, graph.eval(), {name: image})


def _sides(picture: Sequence[int], *, channels_last: bool) -> tuple[int, ...]:
    return (*picture[1:], picture[0]) if channels_last else tuple(picture)


def _own(file: OnnxFile) -> Mapping[str, Any]:
    """Schema and recipe of a file that Snowball exported; empty for others."""
    start, end = file.metadata.get(OWN, (0, 0))
    if not 0 < end - start <= OWN_BYTES:
        return {}
    try:
        about = json.loads(file.said(OWN) or "")
        state, section = about["schema"]["columns"]["image"]["state"], about["recipe"]["image"]
        labels = about["schema"]["columns"].get("label", {}).get("state", {}).get("labels")
        size = int(state["height"]), int(state["width"])
        short, cut = section.get("short_side"), bool(section.get("top") or section.get("bottom"))
        own = {"size": size if short is None else (int(short), int(short)), "channels": int(state["channels"])}
    except (ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
        return {}
    if cut:
        raise BadInput(f"{file.source}: cuts rows off its pictures by itself: import the run that it was exported from")
    return {**own, "short_side": short, "labels": labels if isinstance(labels, list) else None}


def _shapes(definition: Definition, own: Mapping[str, Any], asked: Mapping[str, Any]) -> dict[str, tuple[int, ...]]:
    """The shape of one picture, where the only input is one: as asked, else as the file says."""
    if len(definition.inputs) != 1:
        return input_shapes(definition, {})
    ((name, one),) = definition.inputs.items()
    if one.shape is None or len(one.shape) != 4:
        return input_shapes(definition, {})
    last = one.shape[1] not in (1, 3) and one.shape[3] in (1, 3)
    sides = one.shape[1:3] if last else one.shape[2:]
    own_channels = one.shape[3] if last else one.shape[1]
    size: Any = asked.get("image.size") or (sides if None not in sides else own.get("size"))
    if size is None:
        raise BadInput(f"{definition.source}: does not say how large its pictures are: image.size=N says it")
    height, width = (size, size) if isinstance(size, int) else size
    channels = own_channels or int(asked.get("image.channels", own.get("channels", 3)))
    picture = channels, int(height), int(width)
    return {name: (one.shape[0] or 1, *_sides(picture, channels_last=last))}


def _scores_value(definition: Definition) -> str | None:
    """The value with a score for each class: what the last softmax takes, or else the only output; None: neither."""
    makers = {name: node for node in definition.nodes for name in node.outputs}

    def before(name: str) -> str:
        while name in makers and makers[name].op in PASSING and makers[name].inputs[0] in makers:
            name = makers[name].inputs[0]
        return name

    ends = [before(name) for name in definition.outputs]
    for end in ends:
        if end in makers and makers[end].op in ("Softmax", "LogSoftmax"):
            return makers[end].inputs[0]
    if len(ends) == 1 and ends[0] in makers and makers[ends[0]].op in LINEAR:
        return definition.outputs[0]
    return None


def _scores(
    definition: Definition,
    graph: OnnxGraph,
    stored: Mapping[str, StoredTensor],
    own: Mapping[str, Any],
    section: ImportSection,
    asked: Mapping[str, Any],
) -> Scores | None:
    value = _scores_value(definition)
    if value is None or len(graph.inputs) != 1:
        return None
    ((name, shape),) = graph.inputs.items()
    if len(shape) != 4 or definition.inputs[name].type not in ("float32", "uint8"):
        return None
    channels_last = shape[1] not in (1, 3) and shape[3] in (1, 3)
    picture = (shape[3], shape[1], shape[2]) if channels_last else shape[1:]
    if picture[0] not in (1, 3):
        return None
    part = pruned(definition, value)
    if shape[0] == 1:
        part = for_any_rows(part, OnnxGraph(part, graph.inputs).fixed_rows)
    part = replace(part, inputs={name: Input(part.inputs[name].type, (None, *shape[1:]))})
    made = OnnxGraph(part, {name: (1, *shape[1:])})
    scores = made.shapes[value]
    if len(scores) < 2 or scores[1] < 2 or any(side != 1 for side in scores[2:]):
        return None
    if made.held * ROWS > MOST_HELD:
        raise BadInput(f"{definition.source}: holds {made.held:,} numbers at once for one picture: too many to try it")
    made.allocate()
    made.load(stored, definition.source)
    network = OnnxScores(made, channels_last=channels_last).eval()
    _check_rows(network, picture, definition.source)
    mean, std = section.standardisation(picture[0])
    description = {"format": Onnx.key, **part.to_json(), "channels_last": channels_last}
    recipe = {"image.short_side": own["short_side"]} if own.get("short_side") else {}
    return Scores(network, description, picture, scores[1], mean, std, recipe, own.get("labels"))


@torch.no_grad()
def _check_rows(network: nn.Module, picture: Sequence[int], source: str) -> None:
    """Refuse a graph that answers several pictures at once otherwise than one by one."""
    generator = torch.Generator().manual_seed(1)
    pixels = torch.randn(ROWS, *picture, generator=generator)
    try:
        singles = torch.cat([network(pixels[row : row + 1]) for row in range(ROWS)])
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise BadInput(f"{source}: cannot answer a picture: {brief(error)}") from error
    try:
        together = network(pixels)
    except (RuntimeError, ValueError, IndexError, TypeError) as error:
        raise BadInput(f"{source}: takes one picture at a time: export it with a number of rows that varies") from error
    apart = (together - singles).abs().max() if together.shape == singles.shape else torch.tensor(torch.inf)
    if not bool(apart <= CLOSE * singles.abs().max().clamp(min=1e-6)):
        raise BadInput(f"{source}: answers several pictures otherwise than one by one: export it for any number")


def _unsaid(section: ImportSection) -> list[Finding]:
    """Nothing in a file says how its pictures were prepared: with none said, answers may be wrong without a word."""
    if section.says_pixels():
        return []
    message = "pixels are given to the network as they are, 0 to 255: the file does not say how they were prepared"
    fix = "say it: mean=123.675,116.28,103.53 std=58.395,57.12,57.375 for most networks for ImageNet, or mean=0"
    return [Finding("preprocessing-unsaid", "warning", message, {}, fix)]
