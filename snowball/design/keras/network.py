"""A model as one module: each layer once, called as the file says, and the shapes of all that is made.

Shapes are found by running the layers on the meta device, where nothing is allocated; only then are there weights.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import torch
from torch import Tensor, nn

from ...finding import BadInput, brief, shown_shape
from ...imported import LayerRow
from .activations import LINEAR, SIGMOID, SOFTMAX
from .definition import INPUT, Call, Layer, Model, Ref
from .registry import Spec, layer_builder
from .weighted import Apply, KerasModule, Shape

__all__ = ["KerasGraph", "build_graph", "input_shapes", "said_shapes"]

MAX_NUMBERS = 2**29  # in one tensor
MAX_WEIGHTS = 2**28  # numbers in all weights, 1 GiB: VGG-19 has 144 million
MAX_AXES = 8
ACTIVATED = frozenset(("Dense", "Activation", "Softmax", "Conv2D"))  # what may end in a classifier's activation
UNSAID = 64  # for a side that the file leaves open, where only shapes are asked for


class KerasGraph(KerasModule):
    """The layers of a model. Tensors in the order of its inputs in; its only output, or a tuple of them, out."""

    def __init__(self, model: Model) -> None:
        super().__init__()
        self.model = model
        self.layers: dict[str, KerasModule] = {}
        self.shapes: list[Shape] = []
        """Of the outputs, for inputs of the shapes that it was built for."""
        self._names: dict[str, str] = {}
        self._order: list[tuple[Layer, int]] = []
        self._done_with: list[list[Ref]] = []

    def add(self, layer: Layer, module: KerasModule) -> None:
        name = f"{len(self._names):03}_{re.sub('[^0-9A-Za-z_]', '_', layer.name)[:60]}"
        self.add_module(name, module)
        self._names[layer.name] = name
        self.layers[layer.name] = module

    def replace(self, layer: Layer, module: KerasModule) -> None:
        """Put another module in a layer's place."""
        setattr(self, self._names[layer.name], module)
        self.layers[layer.name] = module

    def settle(self, order: list[tuple[Layer, int]]) -> None:
        """The calls in an order in which they can be made."""
        self._order = order
        seen, done = set(self.model.outputs), []
        for layer, number in reversed(order):
            unused = set(layer.calls[number].needs()) - seen
            seen |= unused
            done.append(list(unused))
        self._done_with = done[::-1]

    def parts(self) -> list[tuple[str, KerasModule]]:
        counts: dict[str, int] = {}
        found = []
        for layer in self.model.layers:
            name = _snake(layer.type)
            counts[name] = counts.get(name, -1) + 1
            found.append((f"layers/{name}{f'_{counts[name]}' if counts[name] else ''}", self.layers[layer.name]))
        return found

    def forward(self, *inputs: Tensor) -> Any:
        held: dict[Ref, Tensor] = {}
        given = dict(zip((ref.layer for ref in self.model.inputs), inputs, strict=True))
        for (layer, number), done in zip(self._order, self._done_with, strict=True):
            if layer.type == INPUT:
                held[Ref(layer.name, number)] = given[layer.name]
                continue
            made = run_call(self.layers[layer.name], layer.calls[number], held)
            held |= {Ref(layer.name, number, at): tensor for at, tensor in enumerate(made)}
            for ref in done:
                held.pop(ref, None)
        outputs = tuple(held[ref] for ref in self.model.outputs)
        return outputs[0] if len(outputs) == 1 else outputs

    def take_softmax_off(self) -> str:
        """Make the only answer a score for each class: the name of the activation that was last, which is taken off.

        It is softmax, sigmoid or linear; empty, and nothing is taken off, where it is none of them.
        """
        (out,) = self.model.outputs
        layer = next(layer for layer in self.model.layers if layer.name == out.layer)
        module = self.layers[layer.name]
        if len(layer.calls) != 1:
            return ""
        if isinstance(module, KerasGraph):
            return module.take_softmax_off() if len(module.model.outputs) == 1 else ""
        activation = getattr(module, "activation", None)
        if layer.type not in ACTIVATED or activation not in (LINEAR, SIGMOID, SOFTMAX):
            return ""
        module.activation = LINEAR  # type: ignore[assignment]  # a plain attribute, whose type nn.Module does not know
        return {LINEAR: "linear", SIGMOID: "sigmoid"}.get(activation, "softmax")

    def allocate(self) -> None:
        """Move what is on the meta device to the CPU: new matrices as Keras draws them, the rest zero."""
        for module in self.modules():
            for name, weights in list(module._parameters.items()):
                if weights is not None and weights.is_meta:
                    made = torch.zeros_like(weights, device="cpu")
                    module._parameters[name] = nn.Parameter(nn.init.xavier_uniform_(made) if made.dim() > 1 else made)
            for name, buffer in list(module._buffers.items()):
                if buffer is not None and buffer.is_meta:
                    module._buffers[name] = torch.zeros_like(buffer, device="cpu")


def run_call(module: nn.Module, call: Call, held: Mapping[Ref, Tensor]) -> tuple[Tensor, ...]:
    """What a layer makes of tensors that are there."""

    def value(said: Any) -> Any:
        if isinstance(said, tuple):
            return tuple(map(value, said))
        return held[said] if isinstance(said, Ref) else said

    made = module(*(held[ref] for ref in call.inputs), **{key: value(said) for key, said in call.options.items()})
    return made if isinstance(made, tuple) else (made,)


def said_shapes(model: Model) -> dict[str, tuple[int | None, ...]]:
    """The shape of each input as the file says it, one row; None for a side that it leaves open. Raises BadInput."""
    layers = {layer.name: layer for layer in model.layers}
    found: dict[str, tuple[int | None, ...]] = {}
    for name in (ref.layer for ref in model.inputs):
        layer = layers[name]
        shape = layer.config.get("batch_shape") or layer.config.get("batch_input_shape")
        if not isinstance(shape, list | tuple) or not 1 <= len(shape) <= MAX_AXES:
            raise layer.wrong(f"its shape is not said: give it, e.g. shapes={{{name!r}: (1, 224, 224, 3)}}")
        if any(side is not None and (type(side) is not int or side < 1) for side in shape[1:]):
            raise layer.wrong(f"its shape is {str(tuple(shape))[:80]}")
        found[name] = (1, *shape[1:])
    return found


def input_shapes(model: Model, said: Mapping[str, Sequence[int]]) -> dict[str, Shape]:
    """The shape of each input, one row: as `said`, else as the file says, with UNSAID for a side left open."""
    names = [ref.layer for ref in model.inputs]
    if unknown := set(said) - set(names):
        raise BadInput(f"{model.name}: no input {min(unknown)!r}; there is {', '.join(names)}")
    own = {} if set(said) == set(names) else said_shapes(model)
    found = {}
    for name in names:
        sides = tuple(int(UNSAID if side is None else side) for side in (said.get(name) or own[name])[1:])
        if any(side < 1 for side in sides) or prod(sides) > MAX_NUMBERS or len(sides) >= MAX_AXES:
            raise BadInput(f"{model.layers[0].source}: input {name!r} of {shown_shape(sides)[:80]} for a row")
        found[name] = (1, *sides)
    return found


def build_graph(model: Model, shapes: Mapping[str, Shape], version: int) -> tuple[KerasGraph, list[LayerRow]]:
    """The module, on the meta device, and a line for each layer. Raises BadInput that names file and layer."""
    builder = _GraphBuilder(version)
    with torch.device("meta"), torch.no_grad():
        inputs = [torch.empty(shapes[ref.layer]) for ref in model.inputs]
        graph = builder.graph(model, inputs, "")
    return graph.eval(), builder.rows


class _GraphBuilder:
    def __init__(self, version: int) -> None:
        self.version = version
        self.rows: list[LayerRow] = []
        self.weights = 0

    def graph(self, model: Model, inputs: Sequence[Tensor], within: str) -> KerasGraph:
        graph = KerasGraph(model)
        held: dict[Ref, Tensor] = {}
        given = dict(zip((ref.layer for ref in model.inputs), inputs, strict=True))
        order = _ordered(model)
        for layer, number in order:
            if layer.type == INPUT:
                if layer.name not in given:
                    raise layer.wrong("is an input that the model does not list")
                made: tuple[Tensor, ...] = (given[layer.name],)
                graph.add(layer, Apply(LINEAR))
            else:
                made = self.call(graph, layer, layer.calls[number], held, within)
            held |= {Ref(layer.name, number, at): tensor for at, tensor in enumerate(made)}
        for ref in model.outputs:
            if ref not in held:
                raise BadInput(
                    f"{model.layers[0].source}: an output is tensor {ref.tensor} of call {ref.call} of layer"
                    f" {ref.layer!r}, which there is not"
                )
        for layer in model.layers:
            if layer.name not in graph.layers:
                raise layer.wrong("is never called")
        graph.shapes = [tuple(held[ref].shape) for ref in model.outputs]
        graph.settle(order)
        return graph

    def call(
        self, graph: KerasGraph, layer: Layer, call: Call, held: Mapping[Ref, Tensor], within: str
    ) -> tuple[Tensor, ...]:
        for ref in call.needs():
            if ref not in held:
                raise layer.wrong(f"takes up tensor {ref.tensor} of {ref.layer!r}, which makes fewer")
        shapes = [tuple(held[ref].shape) for ref in call.inputs]
        if not shapes:
            raise layer.wrong("is called on nothing")
        new = layer.name not in graph.layers
        if new:
            at = len(self.rows)
            named = {key: _shape_of(said, held) for key, said in call.options.items()}
            graph.add(layer, self.module(layer, shapes, named, f"{within}{layer.name}/"))
        module = graph.layers[layer.name]
        made: tuple[Tensor, ...] = self.run(layer, shapes, lambda: run_call(module, call, held))
        if new:
            row = LayerRow(f"{within}{layer.name}", layer.type, tuple(tuple(one.shape) for one in made), _own(module))
            self.rows.insert(at, row)
        return made

    def module(
        self, layer: Layer, shapes: Sequence[Shape], options: Mapping[str, Shape | None], within: str = ""
    ) -> KerasModule:
        """`options`: of a call, by name, with the shapes of those that are tensors."""
        if layer.model is not None:
            if len(shapes) != len(layer.model.inputs):
                raise layer.wrong(f"{len(shapes)} inputs, {len(layer.model.inputs)} would be right")
            module: KerasModule = self.graph(layer.model, [torch.empty(shape) for shape in shapes], within)
            module.trains = layer.model.trainable
            return module
        build, known = layer_builder(layer)
        if strange := options.keys() - set(known):
            raise layer.wrong(f"is called with {min(strange)[:80]!r}, which is not read")
        spec = Spec(layer, shapes, options, self.version, self.module)
        (module,) = self.run(layer, shapes, lambda: (build(spec),))
        spec.check_read()
        module.trains = layer.config.get("trainable", True) is not False
        for variable in module.variables:
            if prod(variable.shape) > MAX_WEIGHTS:
                raise layer.wrong(f"weights of {shown_shape(variable.shape)}; {MAX_WEIGHTS:,} numbers are possible")
        self.weights += sum(part.num_weights() for part in (module, *(inner for _, inner in module.parts())))
        if self.weights > MAX_WEIGHTS:
            raise layer.wrong(f"{self.weights:,} weights up to here; {MAX_WEIGHTS:,} are possible")
        return module.eval()  # one row is tried, of which training would find no variance

    def run(self, layer: Layer, shapes: Sequence[Shape], call: Any) -> Any:
        """What `call` gives; where it fails, an error that names the layer."""
        try:
            made = call()
        except BadInput:
            raise
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
            shown = ", ".join(map(shown_shape, shapes))
            raise layer.wrong(f"cannot take {shown}: {brief(error)}") from error
        for one in made:
            if isinstance(one, Tensor) and not 0 < one.numel() <= MAX_NUMBERS:
                raise layer.wrong(f"makes {shown_shape(one.shape)} of {', '.join(map(shown_shape, shapes))}")
        return made


def _shape_of(said: Any, held: Mapping[Ref, Tensor]) -> Shape | None:
    return tuple(held[said].shape) if isinstance(said, Ref) else None


def _ordered(model: Model) -> list[tuple[Layer, int]]:
    """Every call, behind those whose tensors it takes up. Raises BadInput where calls wait for each other."""
    inside = {layer.name: layer for layer in model.layers}
    waiting: dict[tuple[str, int], int] = {}
    wanted: dict[tuple[str, int], list[tuple[str, int]]] = {}
    for layer in model.layers:
        for number, call in enumerate(layer.calls):
            needs = {(ref.layer, ref.call) for ref in call.needs()}
            for name, at in needs:
                if at >= len(inside[name].calls):
                    raise layer.wrong(f"takes up call {at} of {name!r}, which has {len(inside[name].calls)}")
                wanted.setdefault((name, at), []).append((layer.name, number))
            waiting[layer.name, number] = len(needs)
    ready = [key for key, count in waiting.items() if not count]
    order = []
    while ready:
        key = ready.pop(0)
        order.append((inside[key[0]], key[1]))
        for after in wanted.get(key, ()):
            waiting[after] -= 1
            if not waiting[after]:
                ready.append(after)
    if len(order) < len(waiting):
        stuck = next(name for (name, _), count in waiting.items() if count)
        raise inside[stuck].wrong("waits for itself: layers cannot be called in circles")
    return order


def _own(module: KerasModule) -> int:
    """Numbers in a layer's weights; of a nested model none, since its layers have lines of their own."""
    if isinstance(module, KerasGraph):
        return 0
    return module.num_weights() + sum(_own(part) for _, part in module.parts())


def _snake(name: str) -> str:
    """The name under which Keras stores weights of a class.

    >>> [_snake(name) for name in ("Conv2D", "PReLU", "BatchNormalization", "SimpleRNN", "LSTM")]
    ['conv2d', 'p_re_lu', 'batch_normalization', 'simple_rnn', 'lstm']
    """
    name = re.sub(r"(.)([A-Z][a-z]+)", r"\1_\2", re.sub(r"\W+", "", name))
    return re.sub(r"([a-z])([A-Z])", r"\1_\2", name).lower()
