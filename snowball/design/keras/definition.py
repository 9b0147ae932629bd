"""A network's JSON as layers and the calls between them: Sequential and functional models, nested ones too.

Both of Keras's spellings are read: that of Keras 3 and that of Keras 2 and of all .h5 files. Nothing is looked up by
module or registered name: where one says anything but that a layer is Keras's own, the layer is refused. What `x + y`
becomes in a file, each a layer of its own, is read for the few operations of ARITHMETIC.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...finding import BadInput, brief

__all__ = ["ARITHMETIC", "Call", "Layer", "Model", "Ref", "parse_model"]

MAX_CALLS = 5_000  # of layers, those of nested models counted as often as these are called
MAX_NESTED = 16
MAX_DEPTH = 200  # of JSON
MAX_NAME = 200
MAX_NUMBER = 1e30
MODELS = ("Functional", "Model", "Sequential")
INPUT = "InputLayer"
KERAS = re.compile(
    r"(tensorflow\.python\.|tensorflow\.)?(tf_)?keras(\.src)?(\.(engine|layers|models|legacy)[a-z0-9_.]*)?"
)
ARITHMETIC = "Arithmetic"  # the type of a layer that is an operation on tensors and numbers; its config says which
NUM_OPERANDS = {"Add": 2, "Subtract": 2, "Multiply": 2, "TrueDivide": 2, "Divide": 2, "Power": 2, "Negative": 1}
KERAS_3 = re.compile(r"keras(\.src)?\.ops\.numpy")
KERAS_2 = {
    **{"__operators__.add": "Add", "math.add": "Add", "math.subtract": "Subtract", "math.multiply": "Multiply"},
    **{"math.truediv": "TrueDivide", "math.divide": "Divide", "math.pow": "Power", "math.negative": "Negative"},
}
CONSTANT = "_CONSTANT_VALUE"  # stands for a layer's name where Keras 2 calls an operation on a number first
PARTS = {"Bidirectional": ("layer", "backward_layer"), "TimeDistributed": ("layer",)}


@dataclass(frozen=True)
class Ref:
    """One tensor: what a layer made when it was called for the `call`-th time."""

    layer: str
    call: int = 0
    tensor: int = 0


@dataclass(frozen=True)
class Call:
    """One call of a layer: on tensors in their order, and on those it is given by name, with plain options."""

    inputs: tuple[Ref, ...]
    options: Mapping[str, Any] = field(default_factory=dict)
    """Plain values, a Ref, or a tuple of those."""

    def needs(self) -> Iterator[Ref]:
        """Every tensor that has to be there."""
        yield from self.inputs
        for value in self.options.values():
            yield from (part for part in (value if isinstance(value, tuple) else (value,)) if isinstance(part, Ref))


@dataclass(frozen=True)
class Layer:
    """One layer as the file says it."""

    name: str
    type: str
    config: Mapping[str, Any]
    calls: tuple[Call, ...] = ()
    parts: Mapping[str, Layer] = field(default_factory=dict)
    """Layers inside, of one that wraps others."""
    model: Model | None = None
    source: str = ""

    @property
    def where(self) -> str:
        return f"{self.source}: layer {self.name!r} ({self.type})"

    def wrong(self, what: str) -> BadInput:
        return BadInput(f"{self.where}: {what}")

    def count_calls(self) -> int:
        """How many calls of layers one call takes."""
        own = self.model.count_calls() if self.model else 1
        return own + sum(part.count_calls() for part in self.parts.values())


@dataclass(frozen=True)
class Model:
    """Layers in the order of the file, the inputs and the outputs."""

    name: str
    layers: tuple[Layer, ...]
    inputs: tuple[Ref, ...]
    outputs: tuple[Ref, ...]
    trainable: bool = True
    output_names: tuple[str, ...] = ()
    """Where the outputs are an object: its keys."""

    def count_calls(self) -> int:
        """How many calls of layers one pass through takes."""
        return sum(len(layer.calls) * layer.count_calls() for layer in self.layers)


def parse_model(config: Any, source: str) -> Model:
    """The network that JSON, or the text of some, describes. Raises BadInput."""
    if isinstance(config, str):
        try:
            config = json.loads(config)
        except (ValueError, RecursionError) as error:
            raise BadInput(f"{source}: its description of the network is not JSON ({brief(error)})") from error
    _check_depth(config, source)
    root = _Parser(source).layer(config, "", 0)
    if root.model is None:
        raise BadInput(f"{source}: its description is of a {root.type}, not of a model")
    if root.model.count_calls() > MAX_CALLS:
        raise BadInput(f"{source}: {root.model.count_calls():,} calls of layers; {MAX_CALLS:,} are possible")
    return root.model


def _check_depth(value: Any, source: str) -> None:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for held in level
            if isinstance(held, dict | list)
            for inner in (held.values() if isinstance(held, dict) else held)
        ]
        if not level:
            return
    raise BadInput(f"{source}: its description of the network is nested more than {MAX_DEPTH} deep")


class _Parser:
    """Makes layers of JSON, and says in errors where something stands."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.within = ""

    def wrong(self, what: str) -> BadInput:
        return BadInput(f"{self.source}{self.within}: {what}")

    def layer(self, said: Any, name: str, depth: int) -> Layer:
        """An object of `class_name` and `config`; the calls are read by who knows the layers around it."""
        if depth > MAX_NESTED:
            raise self.wrong(f"models nested more than {MAX_NESTED} deep")
        if not isinstance(said, dict) or not isinstance(said.get("class_name"), str):
            raise self.wrong("a layer is not an object with a 'class_name'")
        kind, config = said["class_name"][:MAX_NAME], said.get("config")
        if kind == "Sequential" and isinstance(config, list):  # before Keras 2.2.3
            config = {"layers": config}
        if not isinstance(config, dict):
            raise self.wrong(f"a {kind} has no 'config'")
        given = config.get("name") or said.get("name") or name or kind
        if not isinstance(given, str) or len(given) > MAX_NAME:
            raise self.wrong(f"a {kind} whose name is no text of at most {MAX_NAME} letters")
        if (operation := _operation(said, kind, config)) is not None:
            return Layer(given, ARITHMETIC, {"operation": operation}, source=self.source)
        self._check_home(said, kind, given)
        if kind in MODELS and "layers" in config:
            model = self.model(kind, config, given, depth)
            return Layer(
                given, "Sequential" if kind == "Sequential" else "Functional", {}, model=model, source=self.source
            )
        parts = {key: self.layer(config[key], key, depth + 1) for key in PARTS.get(kind, ()) if config.get(key)}
        return Layer(given, kind, config, (), parts, source=self.source)

    def _check_home(self, said: Mapping[str, Any], kind: str, name: str) -> None:
        """Refuse what is not Keras's own: a class of somebody else's may have any name."""
        module, registered = said.get("module"), said.get("registered_name")
        own = module is None or (isinstance(module, str) and KERAS.fullmatch(module))
        if not own or registered not in (None, kind):
            home = registered if own else f"{module}.{kind}"
            raise self.wrong(
                f"layer {name!r} is a {str(home)[:MAX_NAME]}, not one of Keras's layers: nothing is imported by name"
            )

    def model(self, kind: str, config: Mapping[str, Any], name: str, depth: int) -> Model:
        outer, self.within = self.within, f"{self.within}, model {name!r}" if depth else ""
        said = config["layers"]
        if not isinstance(said, list) or not said:
            raise self.wrong("has no layers")
        trainable = config.get("trainable", True) is not False
        layers = [self.layer(part, f"layer_{number}", depth + 1) for number, part in enumerate(said)]
        names = [layer.name for layer in layers]
        if len(set(names)) != len(names):
            raise self.wrong(f"two layers are called {next(name for name in names if names.count(name) > 1)!r}")
        if kind == "Sequential":
            model = self._sequential(name, layers, config, trainable)
        else:
            model = self._functional(name, layers, config, trainable)
        self.within = outer
        return model

    def _sequential(self, name: str, layers: list[Layer], config: Mapping[str, Any], trainable: bool) -> Model:
        if layers[0].type != INPUT:
            first = layers[0]
            while first.model is not None and first.model.layers:  # the input of a nested model is said there
                first = first.model.layers[0]
            shape = first.config.get("batch_input_shape") or first.config.get("batch_shape")
            shape = shape or config.get("build_input_shape")
            taken = {layer.name for layer in layers}
            called = next(free for free in (f"input{end}" for end in ("", *range(len(taken) + 1))) if free not in taken)
            layers.insert(0, Layer(called, INPUT, {"batch_shape": shape}, source=self.source))
        chained = [replace(layers[0], calls=(Call(()),))]
        for layer in layers[1:]:
            if layer.type == INPUT:
                raise layer.wrong("an input in the middle of a Sequential")
            chained.append(replace(layer, calls=(Call((Ref(chained[-1].name),)),)))
        return Model(name, tuple(chained), (Ref(chained[0].name),), (Ref(chained[-1].name),), trainable)

    def _functional(self, name: str, layers: list[Layer], config: Mapping[str, Any], trainable: bool) -> Model:
        known = {layer.name for layer in layers}
        called = []
        for layer, said in zip(layers, config["layers"], strict=True):
            nodes = said.get("inbound_nodes", [])
            if not isinstance(nodes, list):
                raise layer.wrong("its 'inbound_nodes' are no list")
            read = self._operands if layer.type == ARITHMETIC else self._call
            calls = tuple(read(layer, node, known) for node in nodes)
            if layer.type == INPUT:
                calls = (Call(()),)
            called.append(replace(layer, calls=calls))
        inputs, outputs = (self._refs(config.get(key), key, known) for key in ("input_layers", "output_layers"))
        if not inputs or not outputs:
            raise self.wrong("a functional model without inputs or outputs")
        said = config["output_layers"]
        names = tuple(said) if isinstance(said, dict) else ()
        new = any(isinstance(node, dict) for part in config["layers"] for node in part.get("inbound_nodes", []))
        return _renumbered(Model(name, tuple(called), inputs, outputs, trainable, names), new)

    def _call(self, layer: Layer, said: Any, known: set[str]) -> Call:
        if isinstance(said, dict):
            return self._new_call(layer, said, known)
        if not isinstance(said, list):
            raise layer.wrong("one of its 'inbound_nodes' is neither an object nor a list")
        entries = [said] if said and isinstance(said[0], str) else said
        inputs: list[Ref] = []
        options: dict[str, Any] = {}
        for entry in entries:
            if not isinstance(entry, list) or len(entry) not in (3, 4):
                raise layer.wrong("a tensor is not said as [layer, call, tensor, options]")
            inputs.append(self._ref(entry[:3], known, layer))
            options |= self._options(layer, entry[3] if len(entry) == 4 else {}, known)
        return Call(tuple(inputs), options)

    def _new_call(self, layer: Layer, said: Mapping[str, Any], known: set[str]) -> Call:
        inputs = []
        args = said.get("args", [])
        for argument in args if isinstance(args, list) else [args]:
            for one in argument if isinstance(argument, list) else [argument]:
                ref = self._tensor(one, known, layer)
                if ref is None:
                    raise layer.wrong("is called on something that is no tensor")
                inputs.append(ref)
        return Call(tuple(inputs), self._options(layer, said.get("kwargs", {}), known))

    def _operands(self, layer: Layer, said: Any, known: set[str]) -> Call:
        """The call of an operation: its tensors are the inputs; a number before or behind the only one is an option."""
        if isinstance(said, dict):
            values = said.get("args")
            values = values if isinstance(values, list) else [values]
        else:
            entry = said[0] if isinstance(said, list) and len(said) == 1 and isinstance(said[0], list) else said
            if not isinstance(entry, list) or len(entry) != 4 or not isinstance(entry[3], dict):
                raise layer.wrong("a tensor is not said as [layer, call, tensor, options]")
            values = [entry[2] if entry[0] == CONSTANT else entry[:3]]
            values += [entry[3]["y"]] if entry[3].get("y") is not None else []
        operands = [self._tensor(value, known, layer) or value for value in values]
        inputs = [operand for operand in operands if isinstance(operand, Ref)]
        plain = [value for value in operands if isinstance(value, int | float) and not isinstance(value, bool)]
        numbers = [value for value in plain if abs(value) < MAX_NUMBER]
        right = NUM_OPERANDS[layer.config["operation"]]
        if not inputs or len(inputs) + len(numbers) != len(operands) or len(operands) != right:
            raise layer.wrong(f"{layer.config['operation']} takes {right} tensors or numbers, one a tensor at least")
        behind = isinstance(operands[0], Ref)
        return Call(tuple(inputs), {"second" if behind else "first": numbers[0]} if numbers else {})

    def _options(self, layer: Layer, said: Any, known: set[str]) -> dict[str, Any]:
        if not isinstance(said, dict):
            raise layer.wrong("the options of a call are no object")
        found: dict[str, Any] = {}
        for key, value in said.items():
            if value is None or (key == "training" and value is False):
                continue
            refs = [self._tensor(one, known, layer) for one in value] if isinstance(value, list) else []
            if (one := self._tensor(value, known, layer)) is not None:
                found[key] = one
            elif refs and all(ref is not None for ref in refs):
                found[key] = tuple(refs)
            elif isinstance(value, bool | int | float | str):
                found[key] = value
            else:
                raise layer.wrong(f"is called with {key[:80]!r}, which is no tensor and no plain value")
        return found

    def _tensor(self, value: Any, known: set[str], layer: Layer) -> Ref | None:
        """A tensor in either spelling; None for anything else."""
        if isinstance(value, dict) and value.get("class_name") == "__keras_tensor__":
            inner = value.get("config")
            return self._ref(inner.get("keras_history") if isinstance(inner, dict) else None, known, layer)
        if isinstance(value, list) and len(value) >= 3 and isinstance(value[0], str):
            return self._ref(value[:3], known, layer)
        return None

    def _ref(self, value: Any, known: set[str], layer: Layer | None = None) -> Ref:
        wrong = layer.wrong if layer else self.wrong
        if not isinstance(value, list) or len(value) != 3 or not isinstance(value[0], str):
            raise wrong("a tensor is not said as [layer, call, tensor]")
        if any(type(number) is not int or not 0 <= number < MAX_CALLS for number in value[1:]):
            raise wrong(f"a tensor of {value[0][:MAX_NAME]!r} with numbers that cannot be")
        if value[0] not in known:
            raise wrong(f"takes up {value[0][:MAX_NAME]!r}, which no layer is called")
        return Ref(*value)

    def _refs(self, value: Any, what: str, known: set[str]) -> tuple[Ref, ...]:
        """The tensors of `input_layers` or `output_layers`: one, a list, or an object of them."""
        if isinstance(value, list) and value and isinstance(value[0], str):
            return (self._ref(value, known),)
        if not isinstance(value, dict | list):
            raise self.wrong(f"{what!r} is no list")
        return tuple(self._ref(one, known) for one in (value.values() if isinstance(value, dict) else value))


def _operation(said: Mapping[str, Any], kind: str, config: Mapping[str, Any]) -> str | None:
    """Which of the operations a layer is, if it is one."""
    module, nodes = said.get("module"), said.get("inbound_nodes")
    if isinstance(module, str) and KERAS_3.fullmatch(module) and kind in NUM_OPERANDS:
        return kind
    if module is None and kind in NUM_OPERANDS and isinstance(nodes, list) and nodes and isinstance(nodes[0], dict):
        args = nodes[0].get("args")  # a .h5 gives no module; a layer of that name is called on one list of tensors
        return kind if isinstance(args, list) and args and not isinstance(args[0], list) else None
    function = config.get("function")
    return KERAS_2.get(function) if kind == "TFOpLambda" and isinstance(function, str) else None


def _renumbered(model: Model, new: bool) -> Model:
    """Calls counted from 0: where a nested model's own making counts as its first call, one less.

    In the spelling of Keras 3 (`new`) that is so of outputs, and of functional models alone; in that of Keras 2 of
    every tensor of a nested model, unless the file comes from a version that counted from 0.
    """
    nested = {layer.name: len(layer.calls) for layer in model.layers if layer.model and layer.calls}
    if new:
        shifted = {layer.name for layer in model.layers if layer.name in nested and layer.type == "Functional"}
        return replace(model, outputs=tuple(_moved(ref, shifted, nested) for ref in model.outputs))
    most: dict[str, int] = {}
    for ref in [*(ref for layer in model.layers for call in layer.calls for ref in call.needs()), *model.outputs]:
        most[ref.layer] = max(most.get(ref.layer, 0), ref.call)
    shifted = {name for name, count in nested.items() if most.get(name) == count}

    def moved(call: Call) -> Call:
        options = {key: _moved(value, shifted, nested) for key, value in call.options.items()}
        return Call(_moved(call.inputs, shifted, nested), options)

    layers = tuple(replace(layer, calls=tuple(map(moved, layer.calls))) for layer in model.layers)
    return replace(model, layers=layers, outputs=_moved(model.outputs, shifted, nested))


def _moved(value: Any, shifted: set[str], nested: Mapping[str, int]) -> Any:
    """A call less, of these layers; before the first is the last, as Keras has it."""
    if isinstance(value, tuple):
        return tuple(_moved(part, shifted, nested) for part in value)
    if isinstance(value, Ref) and value.layer in shifted:
        return replace(value, call=value.call - 1 if value.call else nested[value.layer] - 1)
    return value
