"""Gradients that end inside the network, though its weights get some by another way."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .experiment import CLEAR, Change
from .lab import Lab
from .learning import batch_loss

__all__ = ["detached"]


def detached(lab: Lab) -> Iterator[Finding]:
    """`detach()` and `.data` within model and loss: the same training with the gradient passing through.

    To stop a gradient is a means of many methods (targets of another network, straight-through estimates, truncated
    histories): an error is only where the program learns clearly more without.
    """
    with lab.program.kept(seed=0), _Passing() as watch:
        batch_loss(lab, lab.first_batch)
    if not watch.count or lab.answer.form == "unknown":
        return
    own, other = lab.own, lab.outcome(Change("gradients pass through detach()", mode=_Passing))
    gain = own.gain(other)
    if gain > CLEAR:
        message = (
            f"the gradient is cut {watch.count} times between weights and loss; where it passes the program learns"
            f" {gain:.0%} more of what there is"
        )
        evidence = {"cuts": watch.count, "learned": own.learned(), "learned_without": other.learned()}
        yield Finding("gradient-cut", "error", message, evidence, "leave out detach() and .data within the network")


class _Passing(torch.overrides.TorchFunctionMode):
    """Lets gradients pass where a tensor that has one is detached, and counts how often."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        cuts = func is Tensor.detach or func is Tensor.data.__get__  # type: ignore[attr-defined] # a C property
        if cuts and torch.is_grad_enabled() and args[0].requires_grad and not args[0].is_leaf:
            self.count += 1
            return args[0]
        return func(*args, **(kwargs or {}))
