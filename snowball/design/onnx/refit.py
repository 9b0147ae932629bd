"""A definition for another number of rows, or of answers, than it was written for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ...finding import BadInput
from .definition import Definition
from .registry import Node
from .values import as_known

__all__ = ["for_any_rows", "with_outputs"]


def for_any_rows(definition: Definition, numbers: Sequence[int]) -> Definition:
    """The definition with shapes that begin with one row, in these nodes, written so that they keep what comes.

    Exporters that trace one picture write `1 x 512` where they mean `rows x 512`.
    """
    nodes, constants = list(definition.nodes), dict(definition.constants)
    for number in numbers:
        node = nodes[number]
        name = f"{node.inputs[1]} for any rows"
        constants[name] = np.concatenate([np.array([0], dtype=object), constants[node.inputs[1]].reshape(-1)[1:]])
        attributes = {key: value for key, value in node.attributes.items() if key != "allowzero"}
        nodes[number] = replace(node, inputs=(node.inputs[0], name), attributes=attributes)
    return replace(definition, nodes=tuple(nodes), constants=constants)


def with_outputs(definition: Definition, old: int, new: int) -> Definition:
    """The definition whose last matrix of weights makes `new` numbers in place of `old`. Raises BadInput."""
    axes = [
        (at, axis) for at, node in enumerate(definition.nodes) if (axis := _output_axis(definition, node)) is not None
    ]
    if not axes:
        raise BadInput(f"{definition.source}: no layer with a matrix of weights makes its answers")
    place, axis = axes[-1]
    last = definition.nodes[place]
    if definition.weights[last.inputs[1]][axis] != old:
        raise last.wrong(f"makes {definition.weights[last.inputs[1]][axis]} numbers, the network answers with {old}")
    weights, constants = dict(definition.weights), dict(definition.constants)
    earlier = {name for node in definition.nodes[:place] for name in node.inputs}
    for node in definition.nodes[place:]:
        for name in node.inputs:
            if name in weights:
                along = (axis,) if name == last.inputs[1] else range(len(weights[name]))
                changed = (new if side == old and at in along else side for at, side in enumerate(weights[name]))
                weights[name] = tuple(changed)
                if weights[name] != definition.weights[name] and name in earlier:
                    raise node.wrong(f"its weights {name[:100]!r} are used before, too")
            elif name in constants and node.op in ("Reshape", "Expand") and name not in earlier:
                numbers = [new if number == old else number for number in constants[name].reshape(-1)]
                constants[name] = as_known(numbers).reshape(constants[name].shape)
    return replace(definition, weights=weights, constants=constants)


def _output_axis(definition: Definition, node: Node) -> int | None:
    """The axis of a node's matrix of weights that its outputs stand along; None where it has none."""
    if node.op not in ("Conv", "Gemm", "MatMul") or len(definition.weights.get(node.inputs[1], ())) < 2:
        return None
    return 0 if node.op == "Conv" or (node.op == "Gemm" and node.attributes.get("transB")) else 1
