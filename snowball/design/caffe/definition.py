"""A network's definition: the layers of a prototxt, in any of Caffe's three generations, as one list.

Names and types are checked against schema.py; layers of another phase are left out; layers that bring data in become
the inputs. The result is JSON-able (`to_json`, `from_json`), which is how a run keeps it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ...finding import BadInput, nearest
from .generations import merge_padding, upgrade_layer
from .registry import Layer, Shape, Shared, is_input, layer_builder
from .schema import ENUMS, V1_TYPES, layer_parameters, messages
from .text import Entry, Message, Value, Word, read_text

__all__ = ["Definition", "State", "read_definition"]

MAX_LAYERS = 5_000
MAX_NUMBER = 2**63


@dataclass(frozen=True)
class State:
    """What layers' include and exclude rules are held against."""

    phase: str = "TEST"
    level: int = 0
    stages: tuple[str, ...] = ()


@dataclass(frozen=True)
class Definition:
    """Layers in the order they run, and the inputs with their shapes, None where the file does not say."""

    name: str
    source: str
    inputs: Mapping[str, Shape | None]
    layers: tuple[Layer, ...]
    transform: Mapping[str, Any] = field(default_factory=dict)
    """What the layer that brings pictures in does to them: scale, mean_value, mean_file, crop_size."""

    def to_json(self) -> dict[str, Any]:
        layers = [
            {
                "name": layer.name,
                "type": layer.type,
                "bottom": list(layer.bottoms),
                "top": list(layer.tops),
                "shared": [list(shared) for shared in layer.shared],
                "line": layer.line,
                **layer.parameters,
            }
            for layer in self.layers
        ]
        inputs = {name: None if shape is None else list(shape) for name, shape in self.inputs.items()}
        return {"name": self.name, "source": self.source, "inputs": inputs, "layers": layers}

    def to_text(self, shapes: Mapping[str, Shape]) -> str:
        """A prototxt of the same layers, for inputs of these shapes, without losses and what wants other inputs."""
        made = set(shapes)
        lines = [f'input: "{name}" input_shape {_written({"dim": list(shape)})}' for name, shape in shapes.items()]
        for layer in self.layers:
            if made.issuperset(layer.bottoms) and not layer.type.endswith("Loss"):
                made |= set(layer.tops)
                said = {"name": layer.name, "type": layer.type, "bottom": layer.bottoms, "top": layer.tops}
                lines.append(f"layer {_written({**said, **layer.parameters})}")
        return "\n".join(lines) + "\n"

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Definition:
        """The definition that `to_json` gave; checked as a file is."""
        source = str(value["source"])
        layers = []
        for said in value["layers"]:
            line, shared = int(said["line"]), tuple(Shared(int(n), str(name)) for n, name in said["shared"])
            message = _message({key: part for key, part in said.items() if key not in ("line", "shared")}, line)
            layers.append(_layer(_bind(message, "Layer", source), line, source, shared))
        inputs = {str(name): None if shape is None else tuple(shape) for name, shape in value["inputs"].items()}
        return cls(str(value["name"]), source, inputs, tuple(layers))


def read_definition(path: Path, state: State) -> Definition:
    """Read a prototxt: a deploy, train_val or train_test file, or a solver's that holds a net itself."""
    source = path.name
    root = read_text(path)
    inner = [entry.value for entry in root.entries if entry.name in ("net_param", "train_net_param")]
    if inner and isinstance(inner[0], Message):
        root = inner[0]
    elif any(entry.name in ("net", "train_net", "base_lr") for entry in root.entries):
        raise BadInput(f"{source}: a solver's settings: the network is in the file that its 'net:' names")
    rest = Message(root.line, [entry for entry in root.entries if entry.name not in ("layer", "layers")])
    net = _bind(rest, "Net", source)
    inputs = _inputs(net, source)
    kept, outside = _layers(root, source, state)
    for said, layer in kept:
        if is_input(layer.type):
            inputs |= _data_inputs(said, layer)
    transform = _transform([said for said, layer in kept if is_input(layer.type)] + [said for said, _ in outside])
    layers = merge_padding([layer for _, layer in kept if not is_input(layer.type)])
    inputs |= _missing_inputs(layers, inputs, outside)
    if not layers:
        raise BadInput(f"{source}: no layers in phase {state.phase}")
    for layer in layers:
        layer_builder(layer)  # raises for a type that is not known
    return Definition(str(net.get("name", path.stem)), source, inputs, tuple(layers), transform)


def _layers(root: Message, source: str, state: State) -> tuple[list[Any], list[Any]]:
    """(what it says, the layer) of those in `state`, and of the data layers that are not."""
    kept: list[tuple[dict[str, Any], Layer]] = []
    outside: list[tuple[dict[str, Any], Layer]] = []
    entries = [entry for entry in root.entries if entry.name in ("layer", "layers")]
    if len(entries) > MAX_LAYERS:
        raise BadInput(f"{source}: {len(entries):,} layers; {MAX_LAYERS:,} are possible")
    for entry in entries:
        if not isinstance(entry.value, Message):
            raise BadInput(f"{source}, line {entry.line}: {entry.name!r} is not a message in braces")
        message, generation = entry.value, "Layer" if entry.name == "layer" else "LayerV1"
        rules = Message(message.line, [part for part in message.entries if part.name in ("include", "exclude")])
        included = _included(_bind(rules, generation, source), state)
        kind = _type(message)
        if not included and not is_input(kind):
            continue  # it need not even be of a type that is known
        if included and not is_input(kind) and kind != "padding":
            layer_builder(Layer(_text(message, "name"), kind, (), (), line=entry.line, source=source))
        said = _bind(message, generation, source)
        if generation == "LayerV1":
            said = upgrade_layer(said, entry.line, source)
        shared = [Shared(i, part["name"]) for i, part in enumerate(said.pop("param", ())) if part.get("name")]
        (kept if included else outside).append((said, _layer(said, entry.line, source, tuple(shared))))
    return kept, outside


def _type(message: Message) -> str:
    kind = _text(message, "type")
    return V1_TYPES.get(kind, kind)


def _text(message: Message, name: str) -> str:
    for entry in message.entries:
        if entry.name == name and isinstance(entry.value, str):
            return str(entry.value)
        if entry.name == "layer" and isinstance(entry.value, Message):  # of the first generation
            from .schema import V0_TYPES

            found = _text(entry.value, name)
            return V0_TYPES.get(found, found) if name == "type" else found
    return ""


def _layer(said: Mapping[str, Any], line: int, source: str, shared: tuple[Shared, ...]) -> Layer:
    known = layer_parameters() | {"padding"}  # of the first generation, see generations.py
    parameters = {name: value for name, value in said.items() if name in known - {"transform_param"}}
    return Layer(
        str(said.get("name", "")),
        str(said.get("type", "")),
        tuple(said.get("bottom", ())),
        tuple(said.get("top", ())),
        parameters,
        shared,
        line,
        source,
    )


def _included(said: Mapping[str, Any], state: State) -> bool:
    include, exclude = said.get("include", ()), said.get("exclude", ())
    if include:
        return any(_meets(rule, state) for rule in include)
    return not any(_meets(rule, state) for rule in exclude)


def _meets(rule: Mapping[str, Any], state: State) -> bool:
    return (
        rule.get("phase", state.phase) == state.phase
        and rule.get("min_level", -MAX_NUMBER) <= state.level <= rule.get("max_level", MAX_NUMBER)
        and set(rule.get("stage", ())) <= set(state.stages)
        and not set(rule.get("not_stage", ())) & set(state.stages)
    )


def _inputs(net: Mapping[str, Any], source: str) -> dict[str, Shape | None]:
    names: list[str] = net.get("input", [])
    dims: list[int] = net.get("input_dim", [])
    shapes: list[Shape | None] = [tuple(shape.get("dim", ())) for shape in net.get("input_shape", ())]
    if dims and (len(dims) % 4 or (len(dims) // 4 != len(names))):
        raise BadInput(f"{source}: {len(dims)} times input_dim for {len(names)} inputs: four for each would be right")
    shapes = shapes or [tuple(dims[start : start + 4]) for start in range(0, len(dims), 4)] or [None] * len(names)
    if len(shapes) == 1:
        shapes *= len(names)
    if len(shapes) != len(names):
        raise BadInput(f"{source}: {len(names)} inputs and {len(shapes)} shapes for them")
    return dict(zip(names, shapes, strict=True))


def _data_inputs(said: Mapping[str, Any], layer: Layer) -> dict[str, Shape | None]:
    """The tops of a layer that brings data in, with what it says of their shapes."""
    shapes: list[Shape | None] = []
    for message in ("input_param", "dummy_data_param"):
        shapes += [tuple(shape.get("dim", ())) for shape in said.get(message, {}).get("shape", ())]
    memory = said.get("memory_data_param", {})
    if {"channels", "height", "width"} <= memory.keys():
        shapes = [(memory.get("batch_size", 1), memory["channels"], memory["height"], memory["width"])]
    if len(shapes) == 1 and layer.type in ("Input", "DummyData"):
        shapes *= len(layer.tops)
    shapes += [None] * len(layer.tops)
    return dict(zip(layer.tops, shapes, strict=False))


def _missing_inputs(
    layers: Iterable[Layer], inputs: Mapping[str, Shape | None], outside: list[tuple[dict[str, Any], Layer]]
) -> dict[str, Shape | None]:
    """What only a data layer of another phase or stage would bring: where data comes from matters to nobody here."""
    made = {top for layer in layers for top in layer.tops} | set(inputs)
    wanted = {bottom for layer in layers for bottom in layer.bottoms} - made
    found: dict[str, Shape | None] = {}
    for said, layer in outside:
        if wanted & set(layer.tops) - set(found):
            found |= {name: shape for name, shape in _data_inputs(said, layer).items() if name not in made}
    return found


def _transform(data_layers: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    for said in data_layers:
        own = {
            key: value
            for message in ("data_param", "image_data_param", "window_data_param", "transform_param")
            for key, value in said.get(message, {}).items()
            if key in ("scale", "mean_value", "mean_file", "crop_size")
        }
        if own:
            return own
    return {}


def _bind(message: Message, kind: str, source: str) -> dict[str, Any]:
    """A message's values by name, of the types that the schema says; of what may stand once, the last counts."""
    fields = messages()[_MESSAGE_OF.get(kind, kind)]
    found: dict[str, Any] = {}
    for entry in message.entries:
        if entry.name not in fields:
            hint = nearest(entry.name, fields)
            raise BadInput(f"{source}, line {entry.line}: {kind} has no field {entry.name!r}{hint}")
        field_ = fields[entry.name]
        value = _typed(entry, field_.type, source)
        if field_.repeated:
            found.setdefault(entry.name, []).append(value)
        else:
            found[entry.name] = value
    return found


_MESSAGE_OF = {"transform_param": "Transform", "loss_param": "Loss"}


def _typed(entry: Entry, kind: str, source: str) -> Any:
    value = entry.value
    if isinstance(value, Message):
        if kind in messages():
            return _bind(value, kind, source)
        raise BadInput(f"{source}, line {entry.line}: {entry.name} is a message, {kind} would be right")
    if kind in messages():
        raise BadInput(f"{source}, line {entry.line}: {entry.name} is {value!r}, a message in braces would be right")
    found = _scalar(value, kind)
    if found is None:
        wanted = f"one of {', '.join(ENUMS[kind])}" if kind in ENUMS else kind
        raise BadInput(f"{source}, line {entry.line}: {entry.name} is {value!r}: {wanted} would be right")
    return found


def _scalar(value: Value, kind: str) -> Value | None:
    """The value as that type, None where it is not of it."""
    if kind == "text":
        return str(value) if isinstance(value, str) else None
    if kind == "bool":
        return {"true": True, "false": False, "True": True, "False": False, "1": True, "0": False, "t": True}.get(
            str(value)
        )
    if kind in ENUMS:
        if isinstance(value, int) and 0 <= value < len(ENUMS[kind]):
            return Word(ENUMS[kind][value])
        return Word(value) if value in ENUMS[kind] else None
    if isinstance(value, Word) and value in ("inf", "nan", "infinity"):
        value = float(value)
    if isinstance(value, str | bool):
        return None
    if kind == "int":
        return value if isinstance(value, int) and abs(value) < MAX_NUMBER else None
    number = float(value) if abs(value) < 1e300 else math.inf
    return number if math.isfinite(number) else None


def _message(said: Mapping[str, Any], line: int) -> Message:
    """JSON as the message it was."""
    found = Message(line)
    for name, value in said.items():
        for part in value if isinstance(value, list) else [value]:
            one: Any = _message(part, line) if isinstance(part, Mapping) else part
            found.entries.append(Entry(name, one, line))
    return found


def _written(said: Mapping[str, Any]) -> str:
    """A message in text form."""
    parts = []
    for name, value in said.items():
        for part in value if isinstance(value, list | tuple) else [value]:
            if isinstance(part, Mapping):
                parts.append(f"{name} {_written(part)}")
            elif isinstance(part, bool):
                parts.append(f"{name}: {str(part).lower()}")
            elif isinstance(part, str) and not isinstance(part, Word):
                parts.append(f"{name}: {json.dumps(part)}")
            else:
                parts.append(f"{name}: {part}")
    return "{ " + " ".join(parts) + " }"
