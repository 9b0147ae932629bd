"""Recurrent layers. T steps, N rows, I inputs, D hidden; a row's state is forgotten where `cont` (T, N) is 0."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..registry import Spec, register
from ..weighted import Weighted

__all__ = ["lstm", "rnn"]

MAX_STEPS = 10_000


class _Recurrent(Weighted):
    """Inputs (T, N, I), cont (T, N), and perhaps a static input (N, S), which each step sees."""

    weight_x: nn.Parameter
    bias_x: nn.Parameter
    weight_static: nn.Parameter
    weight_hidden: nn.Parameter

    def __init__(self, spec: Spec, gates: int, hidden_blobs: Mapping[str, str]) -> None:
        spec.bottoms(2, 3)
        spec.dims(2, 5)
        if spec.flag("expose_hidden"):
            raise spec.layer.wrong("expose_hidden: states that come and go as blobs are not known")
        steps, rows = spec.shapes[0][:2]
        if spec.shapes[1] != (steps, rows):
            raise spec.layer.wrong(f"cont is {spec.shapes[1]}, ({steps}, {rows}) would be right")
        if steps > MAX_STEPS:
            raise spec.layer.wrong(f"{steps} steps; {MAX_STEPS:,} are possible")
        hidden, inputs = spec.number("num_output", 1), prod(spec.shapes[0][2:])
        shapes: dict[str, tuple[int, ...]] = {"weight_x": (gates * hidden, inputs), "bias_x": (gates * hidden,)}
        if len(spec.shapes) == 3:
            shapes["weight_static"] = (gates * hidden, prod(spec.shapes[2][1:]))
        for name, of in hidden_blobs.items():
            shapes[name] = (hidden,) if of == "bias" else (gates * hidden, hidden)
        weight, bias = spec._said.get("weight_filler", {}), spec._said.get("bias_filler", {})
        fillers: dict[str, Mapping[str, Any]] = {name: bias if "bias" in name else weight for name in shapes}
        super().__init__(shapes, fillers)
        self._hidden = hidden

    def _entering(self, x: Tensor, static: Tensor | None) -> Tensor:
        """(T, N, gates * D): what each step adds, whatever the state."""
        entering = F.linear(x.flatten(2), self.weight_x, self.bias_x)
        return entering if static is None else entering + F.linear(static.flatten(1), self.weight_static)


class _LSTM(_Recurrent):
    def forward(self, x: Tensor, cont: Tensor, static: Tensor | None = None) -> Tensor:
        entering = self._entering(x, static)
        if x.is_meta:
            return x.new_empty(*x.shape[:2], self._hidden)
        state = x.new_zeros(x.shape[1], self._hidden)
        cell, found = state, []
        for step, goes_on in zip(entering, cont[:, :, None], strict=True):
            gates = step + F.linear(state * goes_on, self.weight_hidden)
            enter, forget, leave, new = gates.chunk(4, 1)
            cell = goes_on * forget.sigmoid() * cell + enter.sigmoid() * new.tanh()
            state = leave.sigmoid() * cell.tanh()
            found.append(state)
        return torch.stack(found)


class _RNN(_Recurrent):
    weight_out: nn.Parameter
    bias_out: nn.Parameter

    def forward(self, x: Tensor, cont: Tensor, static: Tensor | None = None) -> Tensor:
        entering = self._entering(x, static)
        if x.is_meta:
            return x.new_empty(*x.shape[:2], self._hidden)
        state = x.new_zeros(x.shape[1], self._hidden)
        found = []
        for step, goes_on in zip(entering, cont[:, :, None], strict=True):
            state = (step + F.linear(state * goes_on, self.weight_hidden)).tanh()
            found.append(F.linear(state, self.weight_out, self.bias_out).tanh())
        return torch.stack(found)


@register("LSTM", message="recurrent_param")
def lstm(spec: Spec) -> nn.Module:
    """(T, N, I) to (T, N, D); gates in the order input, forget, output, new (Hochreiter and Schmidhuber, 1997)."""
    return _LSTM(spec, 4, {"weight_hidden": "weight"})


@register("RNN", message="recurrent_param")
def rnn(spec: Spec) -> nn.Module:
    """(T, N, I) to (T, N, D): h = tanh(W_hh h + W_xh x + b_h), then tanh(W_ho h + b_o)."""
    return _RNN(spec, 1, {"weight_hidden": "weight", "weight_out": "weight", "bias_out": "bias"})
