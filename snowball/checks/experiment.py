"""One training of a program, with one thing changed, and how it went."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from .answer import Answer

__all__ = ["AS_IT_IS", "CLEAR", "FASTER", "SLOWER", "Change", "Outcome", "changed_rates"]

CLEAR = 0.1  # of all there is to learn: two seeds of a small program differ by less


@dataclass(frozen=True)
class Change:
    """One thing that is different in an experiment."""

    name: str = "as it is"
    lr: float = 1.0
    """Factor on every learning rate."""
    constant_lr: bool = False
    """Every step at the highest learning rate of the schedule."""
    each_batch: bool = False
    """A step of the schedule after each batch, not only after each epoch."""
    weight_decay: float | None = None
    inputs: Callable[[Any], Any] | None = None
    targets: Callable[[Any], Any] | None = None
    prepare: Callable[[nn.Module], None] | None = None
    """What is done to the model first."""
    batches: Callable[[], Iterable[Any]] | None = None
    """Other batches than the loader's."""
    held_out: Sequence[tuple[Any, Any]] | None = None
    """Other held-out batches to be judged by, each with its own shapes."""
    plain_step: bool = False
    """The usual step in place of the program's own."""
    mode: Callable[[], AbstractContextManager[Any]] = nullcontext
    """What holds while the program trains, such as a torch function mode."""
    steps: int | None = None
    seed: int = 0
    """Of what the training draws: order, dropout, augmentation."""


AS_IT_IS = Change()
SLOWER = Change("a tenth of the learning rate", lr=0.1)
FASTER = Change("ten times the learning rate", lr=10.0)


@dataclass
class Outcome:
    """How a training went."""

    losses: list[float]
    lrs: list[float]
    finite: bool
    val_loss: float
    score: float
    """Accuracy or R squared on held-out rows (on training rows where none are held out); where answers are of another
    make what the program's own metric says, if that lies within 0 to 1; NaN where neither is known."""
    chance: float
    metric: float | None
    """What the program's own `evaluate` says."""
    answer: Answer | None
    steps: int
    cut: bool
    """Ended before its last epoch, for lack of time."""
    seconds: float
    train_score: float = math.nan
    """`score` on training rows, of the training as it is."""
    kin: float = math.nan
    """How often held-out rows lie nearest to one of their class, of the training as it is."""
    rows: int = 0
    """How many rows it was judged by."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def first_loss(self) -> float:
        return _mean(self.losses[: max(1, len(self.losses) // 20)])

    @property
    def last_loss(self) -> float:
        return _mean(self.losses[-max(1, len(self.losses) // 10) :])

    def learned(self) -> float:
        """0 for what a constant answer reaches, 1 for perfect: how much of what there is to learn was learned."""
        if not self.finite:
            return 0.0
        if not math.isnan(self.score):
            return max(0.0, (self.score - self.chance) / max(1e-6, 1 - self.chance))
        return 0.0

    def noise(self) -> float:
        """The standard error of the difference of two such trainings' `learned`, by how many rows they are judged."""
        known = self.answer is not None and self.answer.form != "unknown"
        count = len(self.answer.labels) if known and self.answer is not None else self.rows
        if math.isnan(self.score) or not count:
            return 0.0
        if known and self.answer is not None and self.answer.form == "numbers":  # of R squared (Olkin and Finn, 1995)
            explained = min(max(self.score, 0.0), 1.0)
            return 2 * math.sqrt(explained / count) * (1 - explained)
        error = math.sqrt(2 * self.score * (1 - self.score) / count)
        return error / max(1e-6, 1 - self.chance)

    def clears(self, other: Outcome, least: float = 0.01, share: float = 0.5) -> bool:
        """Whether the other training learned clearly more: by CLEAR, or by this share of what this one missed.

        Near the top little is left to gain, and a bug costs most of it; `least` is what two seeds differ by there.
        """
        gain = self.gain(other)
        return gain > CLEAR or gain > max(least, share * (1 - self.learned()), 3 * self.noise())

    def gain(self, other: Outcome) -> float:
        """How much more of what there is to learn the other training learned; negative where it learned less.

        Where answers have no score, by how far the held-out loss, or else the training loss, went down further, as a
        share of what it was at first, of which the first quarter counts for nothing: losses differ more than scores.
        """
        if not other.finite:
            return -1.0
        if not self.finite:
            return 1.0
        if not math.isnan(self.score) and not math.isnan(other.score):
            return other.learned() - self.learned()
        both = (self.val_loss, other.val_loss)
        mine, theirs = both if all(map(math.isfinite, both)) else (self.last_loss, other.last_loss)
        change = (mine - theirs) / max(abs(self.first_loss), abs(other.first_loss), 1e-9)
        return math.copysign(max(0.0, abs(change) - 0.25), change)


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else math.nan


@contextmanager
def changed_rates(optimizer: torch.optim.Optimizer, change: Change, peak: float | None) -> Iterator[None]:
    """Learning rate and weight decay as the change says while the optimiser steps; a schedule sees its own values."""
    if change.lr == 1 and peak is None and change.weight_decay is None:
        yield
        return
    held: list[tuple[Any, Any]] = []

    def before(_: Any, *__: Any) -> None:
        held[:] = [(group["lr"], group.get("weight_decay")) for group in optimizer.param_groups]
        for group in optimizer.param_groups:
            group["lr"] = (group["lr"] if peak is None else peak) * change.lr
            if change.weight_decay is not None and "weight_decay" in group:
                group["weight_decay"] = change.weight_decay

    def after(_: Any, *__: Any) -> None:
        for group, (lr, decay) in zip(optimizer.param_groups, held, strict=True):
            group["lr"] = lr
            if "weight_decay" in group:
                group["weight_decay"] = decay

    hooks = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
