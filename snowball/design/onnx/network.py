"""A definition as a network: each node's module, the shapes of every value, and the values passed on by name.

Shapes are found by running the nodes on the meta device, where nothing is allocated; only then are there weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from math import prod
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ...finding import BadInput, brief, shown_shape
from ...imported import LayerRow
from .definition import Definition
from .file import StoredTensor
from .registry import Change, Node, Spec, op_builder
from .values import MAX_KNOWN, is_known

__all__ = ["OnnxGraph", "Step"]

MAX_TENSOR = 2**29  # numbers in one value
MAX_WEIGHTS = 2**29  # numbers in all weights and tables, 2 GiB of float32: what a file can hold
MAX_DIMENSIONS = 16
MATRICES = frozenset(("Conv", "ConvTranspose", "Gemm", "MatMul", "LSTM", "GRU"))


class Step(nn.Module):
    """A node's module, and the weights among its operands that no module of PyTorch has a place for."""

    def __init__(self, node: Node, module: nn.Module, taken: Mapping[int, tuple[str, Change | None]]) -> None:
        super().__init__()
        self.module = module
        self.node = node
        self.taken = dict(taken)
        self._own: dict[int, str] = {}

    def keep(self, number: int, value: Tensor, *, learns: bool) -> None:
        """Operand `number` is a weight of this step."""
        self._own[number] = f"operand{number}"
        if learns:
            self.register_parameter(self._own[number], nn.Parameter(value))
        else:
            self.register_buffer(self._own[number], value)

    def weights(self) -> list[tuple[int, str, Change | None]]:
        """Number of an operand, the tensor's name in this step, and how its numbers are arranged there."""
        inside = [(number, f"module.{name}", change) for number, (name, change) in self.taken.items()]
        return inside + [(number, name, None) for number, name in self._own.items()]

    def forward(self, values: Mapping[str, Any]) -> Any:
        given = []
        for number, name in enumerate(self.node.inputs):
            if number in self.taken:
                continue
            given.append(getattr(self, self._own[number]) if number in self._own else values[name] if name else None)
        return self.module(*given)


class OnnxGraph(nn.Module):
    """The nodes of a definition. Tensors in the order of `inputs` in, a dict of the outputs out.

    `shapes` are those of the inputs. The modules are on the meta device until `allocate`. Raises BadInput, naming the
    node.
    """

    def __init__(self, definition: Definition, shapes: Mapping[str, Sequence[int]]) -> None:
        super().__init__()
        self.definition = definition
        self.inputs = {name: tuple(shapes[name]) for name in definition.inputs}
        self.rows: list[LayerRow] = []
        self.fixed_rows: list[int] = []
        """Numbers of the nodes that give shapes of one row, where the file was written for one."""
        self._names: list[str] = []
        self._ties: list[tuple[Step, str, Step, str]] = []
        self._constants = dict(definition.constants)
        _check_sizes(definition, self.inputs)
        with torch.device("meta"):
            values = self._build()
        self._done_with = _last_uses(definition)
        self.held = _held(definition, values, self._done_with)
        """Numbers that a run holds at once at most, for inputs of these shapes, beside the weights."""

    @property
    def steps(self) -> list[Step]:
        return [getattr(self, name) for name in self._names]

    def _build(self) -> dict[str, Any]:
        """Every value of a run on the meta device."""
        definition = self.definition
        types = {name: getattr(torch, one.type) for name, one in definition.inputs.items()}
        values: dict[str, Any] = {name: torch.empty(side, dtype=types[name]) for name, side in self.inputs.items()}
        values |= self._constants
        values |= {name: torch.empty(shape) for name, shape in definition.weights.items()}
        for number, name in enumerate(definition.tables):
            self.register_buffer(f"table{number}", torch.empty(definition.tables[name], dtype=torch.int64))
            values[name] = self.get_buffer(f"table{number}")
        flows: set[str] = set(definition.inputs)  # values that hang on the inputs
        learned: set[str] = set()  # those that a matrix of weights has been multiplied with
        owners: dict[str, tuple[Step, str, Any]] = {}
        used = {name for node in definition.nodes for name in node.inputs} | set(definition.outputs)
        for number, node in enumerate(definition.nodes):
            step = self._step(node, values, first=bool(flows & set(node.inputs)) and not learned & set(node.inputs))
            self._tie(step, owners)
            self._names.append(f"step{number:03}_{re.sub('[^0-9A-Za-z]', '', node.op)[:40]}")
            self.add_module(self._names[-1], step)
            outputs = _run(step, values)
            self._note_rows(number, node, values, flows)
            for place, name in enumerate(node.outputs):
                if place < len(outputs):
                    values[name] = outputs[place]
                elif name in used:
                    raise node.wrong(f"its output number {place} is not made here")
            if flows & set(node.inputs):
                flows |= {name for name in node.outputs if isinstance(values.get(name), Tensor)}
            if learned & set(node.inputs) or node.op in MATRICES:
                learned |= set(node.outputs)
            shapes = tuple(tuple(out.shape) for out in outputs if isinstance(out, Tensor))
            if shapes:
                count = sum(p.numel() for p in step.parameters())
                self.rows.append(LayerRow(node.label, node.op, shapes, count))
        self.shapes = {name: tuple(values[name].shape) for name in definition.outputs}
        return values

    def _step(self, node: Node, values: Mapping[str, Any], *, first: bool) -> Step:
        """The node's module; what stands before the first matrix belongs to the pictures' preparation: it rests."""
        operands = [values[name] if name else None for name in node.inputs]
        is_weight = [name in self.definition.weights for name in node.inputs]
        spec = Spec(node, self.definition.opset, operands, is_weight)
        try:
            module = op_builder(node)(spec).eval()
        except BadInput:
            raise
        except (RuntimeError, ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, KeyError) as error:
            raise node.wrong(f"cannot take {_shown(operands)}: {brief(error)}") from error
        step = Step(node, module, spec.taken)
        for number, kept in enumerate(is_weight):
            if kept and number not in spec.taken:
                step.keep(number, torch.empty(self.definition.weights[node.inputs[number]]), learns=not first)
        return step

    def _note_rows(self, number: int, node: Node, values: Mapping[str, Any], flows: set[str]) -> None:
        if node.op != "Reshape" or len(node.inputs) != 2 or node.inputs[0] not in flows:
            return
        shape, x = values[node.inputs[1]], values[node.inputs[0]]
        if node.inputs[1] in self._constants and shape.size and shape.reshape(-1)[0] == 1 and x.shape[0] == 1:
            self.fixed_rows.append(number)

    def _tie(self, step: Step, owners: dict[str, tuple[Step, str, Any]]) -> None:
        """One parameter for a weight that several nodes use in the same arrangement.

        Vectors are each node's own: exporters merge those that happen to be equal, such as biases of zeros.
        """
        for number, name, change in step.weights():
            weight = step.node.inputs[number]
            if len(self.definition.weights[weight]) < 2:
                continue
            owner, own, same = owners.setdefault(weight, (step, name, change))
            if owner is not step and same is change and own in dict(owner.named_parameters()):
                self._ties.append((step, name, owner, own))

    def allocate(self) -> None:
        """Move what is on the meta device to the CPU, with new weights as PyTorch draws them."""
        self.to_empty(device="cpu")
        for module in self.modules():
            if hasattr(module, "reset_parameters"):
                module.reset_parameters()  # type: ignore[operator] # any module's own method
            if isinstance(module, Step):
                for name in module._own.values():
                    getattr(module, name).data.zero_()
        for name, buffer in self.named_buffers():
            if name.startswith("table"):
                buffer.zero_()
        for step, name, owner, own in self._ties:
            path, _, last = name.rpartition(".")
            setattr(step.get_submodule(path), last, owner.get_parameter(own))

    @torch.no_grad()
    def load(self, stored: Mapping[str, StoredTensor], source: str) -> None:
        """Take the numbers of a file's weights and tables. Raises BadInput for what is not a number."""
        for step in self.steps:
            held = step.state_dict()
            for number, name, change in step.weights():
                value = _numbers(stored[step.node.inputs[number]], source)
                value = value if change is None else change(value)
                if value.shape != held[name].shape:
                    found, right = (tuple(one.shape) for one in (value, held[name]))
                    raise step.node.wrong(f"its operand {number} is {found}, {right} would be right")
                held[name].copy_(value)
        for number, name in enumerate(self.definition.tables):
            self.get_buffer(f"table{number}").copy_(_numbers(stored[name], source))

    def run(
        self, inputs: Mapping[str, Tensor], made: Callable[[Node, str, Tensor], None] | None = None
    ) -> dict[str, Any]:
        """Every value by name; `made` is told each tensor as a node makes it."""
        values: dict[str, Any] = self._known_values() | dict(inputs)
        for step in self.steps:
            outputs = step(values)
            for name, value in zip(step.node.outputs, _as_tuple(outputs), strict=False):
                values[name] = value
                if made is not None and isinstance(value, Tensor):
                    made(step.node, name, value)
        return values

    def forward(self, *inputs: Tensor) -> dict[str, Tensor]:
        """The outputs, for inputs in their order; values are let go when the last node that takes them has run."""
        values: dict[str, Any] = self._known_values() | dict(zip(self.inputs, inputs, strict=True))
        for step, done in zip(self.steps, self._done_with, strict=True):
            values |= zip(step.node.outputs, _as_tuple(step(values)), strict=False)
            for name in done:
                values.pop(name, None)
        return {name: values[name] for name in self.definition.outputs}

    def _known_values(self) -> dict[str, Any]:
        return self._constants | {name: self.get_buffer(f"table{at}") for at, name in enumerate(self.definition.tables)}


def _numbers(tensor: StoredTensor, source: str) -> Tensor:
    value = torch.from_numpy(tensor.array())
    if value.is_floating_point() and bool(torch.isnan(value).any()):
        raise BadInput(f"{source}: {tensor.name[:100]!r} holds what is no number: damaged?")
    return value


def _as_tuple(outputs: Any) -> tuple[Any, ...]:
    return outputs if isinstance(outputs, tuple) else (outputs,)


def _run(step: Step, values: Mapping[str, Any]) -> tuple[Any, ...]:
    node = step.node
    try:
        with torch.no_grad():
            outputs = _as_tuple(step(values))
    except BadInput:
        raise
    except (RuntimeError, ValueError, IndexError, TypeError, OverflowError, ZeroDivisionError, KeyError) as error:
        operands = [values[name] if name else None for name in node.inputs]
        raise node.wrong(f"cannot take {_shown(operands)}: {brief(error)}") from error
    except (AttributeError, NotImplementedError) as error:  # a known value where the operator is for tensors alone
        raise node.wrong(f"of what is known before a run: {brief(error)}") from error
    for output in outputs:
        most = MAX_KNOWN if is_known(output) else MAX_TENSOR
        if prod(output.shape) > most or len(output.shape) > MAX_DIMENSIONS:
            raise node.wrong(f"makes {' x '.join(map(str, output.shape))}")
    return outputs


def _shown(operands: Iterable[Any]) -> str:
    def shown(value: Any) -> str:
        if value is None:
            return "nothing"
        known = isinstance(value, np.ndarray)
        return f"the constant {value.reshape(-1).tolist()[:8]}" if known else shown_shape(value.shape)

    return ", ".join(shown(value) for value in operands)[:300]


def _check_sizes(definition: Definition, inputs: Mapping[str, Sequence[int]]) -> None:
    for name, shape in inputs.items():
        if len(shape) > MAX_DIMENSIONS or any(side < 1 for side in shape) or prod(shape) > MAX_TENSOR:
            raise BadInput(f"{definition.source}: input {name[:100]!r} is {' x '.join(map(str, shape))}")
    count = sum(prod(shape) for shape in (*definition.weights.values(), *definition.tables.values()))
    if count > MAX_WEIGHTS:
        raise BadInput(f"{definition.source}: {count:,} weights; {MAX_WEIGHTS:,} are possible")


def _held(definition: Definition, values: Mapping[str, Any], done_with: Iterable[Iterable[str]]) -> int:
    now: dict[str, int] = {name: values[name].numel() for name in definition.inputs}
    most = sum(now.values())
    for node, done in zip(definition.nodes, done_with, strict=True):
        now |= {name: one.numel() for name in node.outputs if isinstance(one := values.get(name), Tensor)}
        most = max(most, sum(now.values()))
        for name in done:
            now.pop(name, None)
    return most


def _last_uses(definition: Definition) -> list[list[str]]:
    """For each node, the values that nothing needs any more once it has run."""
    seen = set(definition.outputs)
    found = []
    for node in reversed(definition.nodes):
        names = {*node.inputs, *node.outputs} - seen
        seen |= names
        found.append(sorted(names))
    return found[::-1]
