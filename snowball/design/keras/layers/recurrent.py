"""Recurrent layers, step by step as Keras defines them, and the layers that wrap others. N rows, T steps, U units."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from ..activations import read_activation
from ..registry import Spec, register
from ..weighted import KerasModule, Variable

__all__ = ["bidirectional", "recurrent", "time_distributed"]

GATES = {"SimpleRNN": 1, "GRU": 3, "LSTM": 4}


class _Recurrent(KerasModule, ABC):
    """(N, T, C), and states (N, U) to begin with, to (N, U) or (N, T, U), and to the states behind where asked."""

    kernel: nn.Parameter
    recurrent_kernel: nn.Parameter
    bias: nn.Parameter | None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.dims(3)
        self.num_states = 2 if spec.layer.type == "LSTM" else 1
        if len(spec.shapes) not in (1, 1 + self.num_states):
            raise spec.layer.wrong(f"{len(spec.shapes)} inputs; one and {self.num_states} states are possible")
        self.units, width = spec.integer("units"), spec.shapes[0][2]
        self.activation = read_activation(spec, default="tanh")
        self.gate: Callable[[Tensor], Tensor] = torch.sigmoid
        gates = GATES[spec.layer.type]
        if gates > 1:
            self.gate = read_activation(spec, "recurrent_activation", "sigmoid")
        self.backwards, self.sequences = spec.flag("go_backwards"), spec.flag("return_sequences")
        self.states = spec.flag("return_state")
        spec.said("zero_output_for_mask")  # there are no masks: what makes one is refused
        for key in ("stateful", "time_major"):
            if spec.flag(key):
                raise spec.layer.wrong(f"{key} is not read")
        self.reset_after = spec.layer.type == "GRU" and spec.flag("reset_after", spec.version >= 3)
        wide = gates * self.units
        variables = [Variable("kernel", (width, wide)), Variable("recurrent_kernel", (self.units, wide))]
        if spec.flag("use_bias", True):
            variables.append(Variable("bias", (2, wide) if self.reset_after else (wide,)))
        self.add_variables(replace(variable, group="cell") for variable in variables)

    @abstractmethod
    def step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        """What the kernel makes of one step's input, (N, gates * U), and the states before, to those behind."""

    def forward(self, x: Tensor, *states: Tensor, initial_state: tuple[Tensor, ...] = ()) -> Any:
        held = list(states or initial_state)
        if x.is_meta:  # a loop of any length would only tell the shapes
            made = x.new_empty(x.shape[0], self.units)
            return self._result(x.new_empty(*x.shape[:2], self.units), made, [made] * self.num_states)
        held = held or [x.new_zeros(x.shape[0], self.units) for _ in range(self.num_states)]
        first = None if self.bias is None else self.bias[0] if self.reset_after else self.bias
        inputs = x @ self.kernel if first is None else x @ self.kernel + first
        steps = list(inputs.unbind(1))
        outputs = []
        for inner in reversed(steps) if self.backwards else steps:
            held = self.step(inner, held)
            outputs.append(held[0])
        return self._result(torch.stack(outputs, 1) if self.sequences else None, outputs[-1], held)

    def _result(self, whole: Tensor | None, last: Tensor, states: list[Tensor]) -> Any:
        answer = whole if self.sequences else last
        return (answer, *states) if self.states else answer


class _Simple(_Recurrent):
    def step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        return [self.activation(x + states[0] @ self.recurrent_kernel)]


class _LSTM(_Recurrent):
    def step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        hidden, cell = states
        enter, forget, new, leave = (x + hidden @ self.recurrent_kernel).chunk(4, 1)
        cell = self.gate(forget) * cell + self.gate(enter) * self.activation(new)
        return [self.gate(leave) * self.activation(cell), cell]


class _GRU(_Recurrent):
    def step(self, x: Tensor, states: list[Tensor]) -> list[Tensor]:
        (hidden,) = states
        update, reset, new = x.chunk(3, 1)
        if self.reset_after:
            inner = hidden @ self.recurrent_kernel
            inner = inner if self.bias is None else inner + self.bias[1]
            own_update, own_reset, own_new = inner.chunk(3, 1)
            update, reset = self.gate(update + own_update), self.gate(reset + own_reset)
            new = self.activation(new + reset * own_new)
        else:
            by_update, by_reset, by_new = self.recurrent_kernel.chunk(3, 1)
            update, reset = self.gate(update + hidden @ by_update), self.gate(reset + hidden @ by_reset)
            new = self.activation(new + (reset * hidden) @ by_new)
        return [update * hidden + (1 - update) * new]


MERGES = ("concat", "sum", "mul", "ave")


class _Bidirectional(KerasModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        self._merge = spec.word("merge_mode", MERGES)
        if spec.layer.config.get("merge_mode", "concat") is None:
            raise spec.layer.wrong("merge_mode is null: one of " + ", ".join(MERGES) + " is possible")
        own = "backward_layer" in spec.layer.parts
        ahead = spec.part("layer", spec.shapes)
        back = spec.part("backward_layer" if own else "layer", spec.shapes)
        if not isinstance(ahead, _Recurrent) or not isinstance(back, _Recurrent):
            raise spec.layer.wrong("wraps what is not recurrent")
        if not own:
            back.backwards = not ahead.backwards
        self.forward_layer, self.backward_layer = ahead, back

    def parts(self) -> list[tuple[str, KerasModule]]:
        return [("forward_layer", self.forward_layer), ("backward_layer", self.backward_layer)]

    def forward(self, x: Tensor) -> Any:
        ahead, back = self.forward_layer(x), self.backward_layer(x)
        one, *states = ahead if isinstance(ahead, tuple) else (ahead,)
        other, *more = back if isinstance(back, tuple) else (back,)
        other = other.flip(1) if other.dim() == 3 else other
        if self._merge == "concat":
            merged = torch.cat((one, other), -1)
        elif self._merge == "mul":
            merged = one * other
        else:
            merged = (one + other) / (2 if self._merge == "ave" else 1)
        return (merged, *states, *more) if states else merged


class _TimeDistributed(KerasModule):
    def __init__(self, spec: Spec) -> None:
        super().__init__()
        spec.inputs(1)
        spec.dims(3, 8)
        rows, steps, *rest = spec.shapes[0]
        self.layer = spec.part("layer", [(rows * steps, *rest)])

    def parts(self) -> list[tuple[str, KerasModule]]:
        return [("layer", self.layer)]

    def forward(self, x: Tensor) -> Tensor:
        found: Tensor = self.layer(x.flatten(0, 1))
        return found.reshape(x.shape[0], x.shape[1], *found.shape[1:])


@register("SimpleRNN", "LSTM", "GRU", options=("initial_state",))
def recurrent(spec: Spec) -> KerasModule:
    """Elman, 1990; Hochreiter and Schmidhuber, 1997; Cho et al., 2014."""
    layers: dict[str, Callable[[Spec], KerasModule]] = {"SimpleRNN": _Simple, "LSTM": _LSTM, "GRU": _GRU}
    return layers[spec.layer.type](spec)


@register("Bidirectional")
def bidirectional(spec: Spec) -> KerasModule:
    """The same layer from both ends, merged (Schuster and Paliwal, 1997)."""
    return _Bidirectional(spec)


@register("TimeDistributed")
def time_distributed(spec: Spec) -> KerasModule:
    """A layer on each step."""
    return _TimeDistributed(spec)
