"""A graph's definition: its nodes in order, its constants, and the shapes of its weights; JSON-able, which is how a run
keeps it (`to_json`, `from_json`).

Floating-point tensors are weights, which learn; single numbers and small whole ones are constants, which nodes may use
to say shapes; large whole ones are tables. A product by a matrix and the sum with a bias behind it become one node.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any, TypeVar

import numpy as np

from ...finding import BadInput
from .file import FLOATS, OnnxFile, StoredTensor
from .registry import Node, op_builder
from .values import as_known

__all__ = ["Definition", "Input", "pruned", "read_definition"]

Shape = tuple[int, ...]
Value = TypeVar("Value")
OLDEST = 7  # opset: before it, broadcasting and batch normalisation were said otherwise
MAX_CONSTANT = 1_024  # whole numbers; more are a table
MAX_DIMENSIONS = 16
DOMAINS = ("", "ai.onnx")
TYPES = {1: "float32", 2: "uint8", 3: "int8", 5: "int16", 6: "int32", 7: "int64", 9: "bool", 10: "float32"}
TYPES |= {11: "float32", 16: "float32"}
# Operands that have to be known when a network is built, though their numbers may be floating-point ones.
SAID = {"Resize": (1, 2, 3), "Upsample": (1,), "Clip": (1, 2), "Pad": (1, 2, 3), "Dropout": (1, 2), "TopK": (1,)}


@dataclass(frozen=True)
class Input:
    """An input of a graph: None stands for sides that vary, or for a shape that is not said."""

    type: str
    shape: tuple[int | None, ...] | None


@dataclass(frozen=True)
class Definition:
    """Nodes in the order they run, with all that is known of them before there are weights."""

    name: str
    source: str
    opset: int
    inputs: Mapping[str, Input]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    constants: Mapping[str, np.ndarray] = field(default_factory=dict)
    weights: Mapping[str, Shape] = field(default_factory=dict)
    tables: Mapping[str, Shape] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        inputs = {name: [one.type, None if one.shape is None else list(one.shape)] for name, one in self.inputs.items()}
        nodes = [[n.op, n.name, list(n.inputs), list(n.outputs), dict(n.attributes)] for n in self.nodes]
        return {
            "name": self.name,
            "source": self.source,
            "opset": self.opset,
            "inputs": inputs,
            "outputs": list(self.outputs),
            "nodes": nodes,
            "constants": {name: [list(v.shape), v.reshape(-1).tolist()] for name, v in self.constants.items()},
            "weights": {name: list(shape) for name, shape in self.weights.items()},
            "tables": {name: list(shape) for name, shape in self.tables.items()},
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Definition:
        """The definition that `to_json` gave; checked as a file's is."""
        source = str(value["source"])
        nodes = tuple(
            Node(str(op), str(name), tuple(map(str, inputs)), tuple(map(str, outputs)), dict(attributes), source)
            for op, name, inputs, outputs, attributes in value["nodes"]
        )
        inputs = {
            str(name): Input(str(kind), None if shape is None else tuple(shape))
            for name, (kind, shape) in value["inputs"].items()
        }
        constants = {}
        for name, (shape, numbers) in value["constants"].items():
            constants[str(name)] = as_known(list(numbers)).reshape(_sides(shape))
        weights, tables = (
            {str(name): _sides(shape) for name, shape in value[key].items()} for key in ("weights", "tables")
        )
        made = cls(
            str(value["name"]),
            source,
            int(value["opset"]),
            inputs,
            tuple(map(str, value["outputs"])),
            nodes,
            constants,
            weights,
            tables,
        )
        _check(made)
        return made


def _sides(shape: Iterable[Any]) -> Shape:
    sides = tuple(int(side) for side in shape)
    if len(sides) > MAX_DIMENSIONS or any(side < 0 for side in sides):
        raise ValueError(f"a shape of {sides}")
    return sides


def read_definition(file: OnnxFile) -> tuple[Definition, dict[str, StoredTensor]]:
    """The definition, and where the numbers of its weights and tables are. Raises BadInput, naming the node."""
    if file.opset < OLDEST:
        raise BadInput(f"{file.source}: opset {file.opset}; {OLDEST} or later is read")
    stored, nodes = dict(file.tensors), list[Node]()
    of_nodes: set[str] = set()
    aliases: dict[str, str] = {}  # exporters name one tensor twice by a node that does nothing
    for raw in file.nodes:
        names = tuple(aliases.get(name, name) for name in raw.inputs)
        node = Node(raw.op, raw.name, names, raw.outputs, raw.attributes, file.source)
        if raw.domain not in DOMAINS:
            raise node.wrong(f"of the domain {raw.domain[:50]!r}: only ONNX's own operators are read")
        if raw.op == "Constant":
            tensor = _constant(node)
            if tensor.name in stored:
                raise node.wrong(f"{tensor.name!r} was made before")
            stored[tensor.name] = tensor
            of_nodes.add(tensor.name)
            continue
        if raw.op == "Identity" and names and names[0] in stored and not {*stored, *file.outputs} & set(raw.outputs):
            aliases |= dict.fromkeys(raw.outputs, names[0])
            continue
        op_builder(node)  # raises for an operator that is not known
        nodes.append(replace(node, attributes={key: _plain(node, key, part) for key, part in raw.attributes.items()}))
    inputs = {}
    for name, (kind, shape) in file.inputs.items():
        if name not in stored:
            if kind not in TYPES:
                raise BadInput(f"{file.source}: input {name!r} holds numbers of type {kind}, which are not read")
            inputs[name] = Input(TYPES[kind], shape)
    said = {node.inputs[at] for node in nodes for at in SAID.get(node.op, ()) if at < len(node.inputs)}
    constants: dict[str, np.ndarray] = {}
    weights: dict[str, Shape] = {}
    tables: dict[str, Shape] = {}
    used = {name for node in nodes for name in node.inputs} | set(file.outputs)
    for name, tensor in stored.items():
        if name not in used:
            continue
        if _is_constant(tensor, of_node=name in of_nodes, said=name in said):
            constants[name] = as_known(tensor.array())
        elif tensor.type in FLOATS:
            weights[name] = tensor.shape
        else:
            tables[name] = tensor.shape
    made = Definition(
        file.name, file.source, file.opset, inputs, tuple(file.outputs), tuple(nodes), constants, weights, tables
    )
    _check(made)
    made = _fused(made)
    return made, {name: stored[name] for name in (*made.weights, *made.tables)}


def _is_constant(tensor: StoredTensor, *, of_node: bool, said: bool) -> bool:
    count = prod(tensor.shape)
    if tensor.type in FLOATS:
        return not tensor.shape or (said and count <= MAX_CONSTANT) or (of_node and count <= 1) or count == 0
    return count <= MAX_CONSTANT


def _constant(node: Node) -> StoredTensor:
    """What a Constant node makes, of any of the ways to say it."""
    if len(node.outputs) != 1 or len(node.attributes) != 1 or node.inputs:
        raise node.wrong("a constant has one value and one output")
    ((key, value),) = node.attributes.items()
    name = node.outputs[0]
    if key == "value" and isinstance(value, StoredTensor):
        return replace(value, name=name)
    if key in ("value_float", "value_floats", "value_int", "value_ints"):
        kind = 1 if "float" in key else 7
        numbers = np.array(value, np.float32 if kind == 1 else np.int64)
        return StoredTensor(name, numbers.shape, kind, numbers.reshape(-1))
    raise node.wrong(f"{key} is not read")


def _plain(node: Node, key: str, value: Any) -> Any:
    """An attribute as JSON: of a tensor of one number, that number."""
    if not isinstance(value, StoredTensor):
        return value
    if prod(value.shape) != 1:
        raise node.wrong(f"{key} is a tensor of {prod(value.shape):,} numbers")
    return value.array().reshape(-1)[0].item()


def _check(definition: Definition) -> None:
    """Every operand is made before it is used, nothing is made twice, and the outputs are there."""
    where = definition.source
    found = {*definition.inputs, *definition.constants, *definition.weights, *definition.tables}
    if not definition.nodes:
        raise BadInput(f"{where}: no nodes")
    makers = {name: node for node in definition.nodes for name in node.outputs}
    for node in definition.nodes:
        for name in node.inputs:
            if name and name not in found:
                if name not in makers:
                    raise node.wrong(f"its operand {name[:100]!r} is made by no node, and is no input")
                raise node.wrong(
                    f"its operand {name[:100]!r} is made only later: nodes stand in the order in which they run, and"
                    " cannot go in circles"
                )
        made = [name for name in node.outputs if name]
        if not made:
            raise node.wrong("makes nothing")
        for name in made:
            if name in found:
                raise node.wrong(f"its output {name[:100]!r} was made before")
            found.add(name)
    if not definition.outputs:
        raise BadInput(f"{where}: no outputs")
    for name in definition.outputs:
        if name not in found:
            raise BadInput(f"{where}: its output {name[:100]!r} is made by no node")


def pruned(definition: Definition, output: str) -> Definition:
    """Only what makes `output`."""
    wanted, kept = {output}, []
    for node in reversed(definition.nodes):
        if wanted & set(node.outputs):
            kept.append(node)
            wanted |= {name for name in node.inputs if name}
    return replace(
        definition,
        nodes=tuple(reversed(kept)),
        outputs=(output,),
        inputs=_named(definition.inputs, wanted),
        constants=_named(definition.constants, wanted),
        weights=_named(definition.weights, wanted),
        tables=_named(definition.tables, wanted),
    )


def _named(values: Mapping[str, Value], names: Set[str]) -> dict[str, Value]:
    return {name: value for name, value in values.items() if name in names}


def _fused(definition: Definition) -> Definition:
    """With the bias that is added behind a product by a matrix as its third operand, where nothing else sees it."""
    uses = Counter(name for node in definition.nodes for name in node.inputs)
    uses.update(definition.outputs)
    products = {
        node.outputs[0]: node
        for node in definition.nodes
        if node.op == "MatMul" and len(node.inputs) == 2 and len(definition.weights.get(node.inputs[1], ())) == 2
    }
    joined: dict[str, Node] = {}  # output of a sum -> the product with its bias
    gone: set[str] = set()
    for node in definition.nodes:
        if node.op != "Add" or len(node.inputs) != 2:
            continue
        for product, bias in (node.inputs, node.inputs[::-1]):
            if product not in products or uses[product] != 1:
                continue
            wanted = definition.weights[products[product].inputs[1]][1]
            if definition.weights.get(bias) == (wanted,):
                joined[node.outputs[0]] = replace(
                    products[product], inputs=(*products[product].inputs, bias), outputs=node.outputs
                )
                gone.add(product)
                break
    nodes = [joined.get(node.outputs[0], node) for node in definition.nodes if node.outputs[0] not in gone]
    return replace(definition, nodes=tuple(nodes))
