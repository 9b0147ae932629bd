"""Sums, means and other numbers over dimensions."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ...apply import Apply
from ..registry import Spec, register
from ..values import as_known, is_known, numbers_of, whole

__all__: list[str] = []

_OVER: dict[str, Callable[..., Tensor]] = {
    "ReduceMean": lambda x, axes, keep: x.mean(axes, keepdim=keep),
    "ReduceSum": lambda x, axes, keep: x.sum(axes, keepdim=keep),
    "ReduceMax": lambda x, axes, keep: x.amax(axes, keepdim=keep),
    "ReduceMin": lambda x, axes, keep: x.amin(axes, keepdim=keep),
    "ReduceL1": lambda x, axes, keep: x.abs().sum(axes, keepdim=keep),
    "ReduceL2": lambda x, axes, keep: torch.linalg.vector_norm(x, 2, axes, keepdim=keep),
    "ReduceSumSquare": lambda x, axes, keep: x.square().sum(axes, keepdim=keep),
    "ReduceLogSumExp": lambda x, axes, keep: x.logsumexp(axes, keepdim=keep),
    "ReduceProd": lambda x, axes, keep: _product(x, axes, keep),
}
_OF_KNOWN: dict[str, Callable[[list[Any]], Any]] = {
    "ReduceProd": math.prod,
    "ReduceSum": sum,
    "ReduceMax": max,
    "ReduceMin": min,
}


def _product(x: Tensor, axes: list[int], keep: bool) -> Tensor:
    for axis in sorted((axis % x.dim() for axis in axes), reverse=True):
        x = x.prod(axis, keepdim=keep)
    return x


def _reduction(name: str) -> Callable[[Spec], nn.Module]:
    def build(spec: Spec) -> nn.Module:
        spec.operand_counts(1, 2)
        listed, keep, nothing = spec.listed("axes"), spec.flag("keepdims", 1), spec.flag("noop_with_empty_axes")

        def run(x: Any, axes: Any = None) -> Any:
            over = listed(axes)
            if not over and nothing:
                return x
            if not is_known(x):
                return _OVER[name](x, over or list(range(x.dim())), keep)
            if name not in _OF_KNOWN or x.ndim > 1:
                raise ValueError("of numbers that are known before a run")
            total = _OF_KNOWN[name](numbers_of(x))
            return as_known([total] if keep and x.ndim else total)

        return Apply(run)

    return build


for _name in _OVER:
    register(_name)(_reduction(_name))


@register("ArgMax", "ArgMin")
def _arg_max(spec: Spec) -> nn.Module:
    spec.operand_counts(1)
    axis, keep = spec.axis(spec.number("axis", 0), spec.tensor().dim()), spec.flag("keepdims", 1)
    spec.only("select_last_index", 0, 0)
    function = torch.argmax if spec.node.op == "ArgMax" else torch.argmin
    return Apply(lambda x: function(x, axis, keepdim=keep))


@register("CumSum")
def _cumulative(spec: Spec) -> nn.Module:
    spec.operand_counts(2)
    spec.only("exclusive", 0, 0)
    spec.only("reverse", 0, 0)
    return Apply(lambda x, axis: x.cumsum(whole(axis)[0]))


@register("TopK")
def _top(spec: Spec) -> nn.Module:
    spec.operand_counts(2)
    axis, largest = spec.axis(spec.number("axis", -1), spec.tensor().dim()), spec.flag("largest", 1)
    return Apply(lambda x, k: tuple(torch.topk(x, whole(k)[0], axis, largest)))
