"""Checks of the program's own step: what it hands to the optimiser against what the loss says.

The step is run as it is, on consecutive batches, while hooks write down the gradients that the optimiser is given. They
are compared with gradients computed here, from the same weights and random state.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .lab import Lab
from .program import mode_matters, without_workers

__all__ = ["step"]

UPDATES = 3  # of the weights, at least
CALLS = 6  # of the step, at least
MOST_CALLS = 100  # in which a step that gathers gradients has to update once


@dataclass
class _Record:
    """What happened in each call of the step."""

    stepped: list[int] = field(default_factory=list)
    """The call in which each update fell."""
    given: list[Tensor] = field(default_factory=list)
    """The gradients at each update, as one vector."""
    before: list[Tensor] = field(default_factory=list)
    """All weights at each update, before it."""
    after: list[Tensor] = field(default_factory=list)
    own: list[Tensor] = field(default_factory=list)
    """What the loss says for each call's batch, at the weights it was called with."""
    losses: list[tuple[float, float]] = field(default_factory=list)
    """What the step returned, and the loss computed here."""
    modes: list[bool] = field(default_factory=list)
    """Whether the model was in training mode in each forward pass of the step."""
    backward: list[bool] = field(default_factory=list)
    closures: int = 0
    """How often the optimiser was given what computes the gradients, so that it is called before they are."""


def _vector(tensors: Sequence[Tensor | None], like: Sequence[Tensor]) -> Tensor:
    parts = [
        torch.zeros_like(p).flatten() if t is None else t.detach().to_dense().flatten()
        for t, p in zip(tensors, like, strict=True)
    ]
    return torch.cat(parts).float()


def _record(lab: Lab, *, clear_after_update: bool = False) -> _Record:
    program, record = lab.program, _Record()
    optimizer = program.optimizer
    assert optimizer is not None
    params = [p for p in program.model.parameters() if p.requires_grad]

    def before(_: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        record.closures += any(callable(value) for value in (*args, *kwargs.values()))
        record.stepped.append(len(record.own) - 1)
        record.given.append(_vector([p.grad for p in params], params))
        record.before.append(_vector([p.detach() for p in params], params))

    def after(*_: Any) -> None:
        record.after.append(_vector([p.detach() for p in params], params))
        if clear_after_update:
            for p in params:
                p.grad = None

    def mode(module: torch.nn.Module, *_: Any) -> None:
        if inside:
            record.modes.append(module.training)

    inside: list[bool] = []
    hooks = [optimizer.register_step_pre_hook(before), optimizer.register_step_post_hook(after)]
    hooks.append(program.model.register_forward_pre_hook(mode))
    try:
        with program.kept(seed=0):
            for batch in _endless(lab):
                done = len(record.own) >= CALLS and len(record.given) >= UPDATES
                if done or len(record.own) == MOST_CALLS or lab.left < 0:
                    break
                state = torch.get_rng_state()
                held = [p.grad for p in params]
                training = [(m, m.training) for m in program.model.modules()]
                buffers = [(b, b.detach().clone()) for b in program.model.buffers()]
                program.model.train()
                loss = program.loss(program.outputs(batch[0]), batch[1])
                grads = torch.autograd.grad(loss.mean(), params, allow_unused=True)
                record.own.append(_vector(list(grads), params))
                with torch.no_grad():
                    for buffer, value in buffers:
                        buffer.copy_(value)
                for module, was in training:
                    module.training = was
                for p, grad in zip(params, held, strict=True):
                    p.grad = grad
                torch.set_rng_state(state)
                inside.append(True)
                returned = lab.step(batch, optimizer)
                inside.clear()
                record.losses.append((float(returned), float(loss.detach())))
    finally:
        for hook in hooks:
            hook.remove()
    return record


def _endless(lab: Lab) -> Iterator[tuple[Any, Any]]:
    while True:
        yield from lab.program.batches(without_workers(lab.program.train))


def _left_in_evaluation(lab: Lab) -> Iterator[Finding]:
    """A step behind the program's own evaluation: neither may leave the model in evaluation mode."""
    program, seen = lab.program, list[bool]()
    if program.evaluate is None or program.val is None or program.optimizer is None:
        return
    with program.kept(seed=0):
        program.model.train()
        program.evaluate(program.model, program.val)
        hook = program.model.register_forward_pre_hook(lambda module, _: seen.append(module.training))
        try:
            lab.step(next(iter(program.batches(without_workers(program.train)))), program.optimizer)
        finally:
            hook.remove()
    if seen and not any(seen):
        message = "after the first evaluation the program's step runs the model in evaluation mode, without dropout"
        fix = "model.train() at the beginning of train_step, or at the end of evaluate"
        yield Finding("eval-mode", "error", message, {"calls": len(seen)}, fix)


def step(lab: Lab) -> Iterator[Finding]:
    program = lab.program
    if program.train_step is None or program.optimizer is None:
        return
    record = _record(lab)
    modes = lab.program.model
    if record.modes and not any(record.modes) and mode_matters(modes):
        message = "the program's step runs the model in evaluation mode: dropout and batch statistics are off"
        yield Finding("eval-mode", "error", message, {"steps": len(record.modes)}, "model.train() before the step")
    elif record.modes and mode_matters(modes):
        yield from _left_in_evaluation(lab)
    if not record.given:
        message = f"the program's step never called its optimiser in {len(record.own)} batches"
        yield Finding("stale-gradients", "warning", message, {}, "optimizer.step() after backward()")
        return
    if record.closures:
        return
    yield from _stale(lab, record)
    yield from _direction(record)


def _stale(lab: Lab, record: _Record) -> Iterator[Finding]:
    """Gradients of batches before the last update must not be in the next one."""
    if len(record.given) < 2:
        return
    again, cleared = _record(lab), _record(lab, clear_after_update=True)
    if record.stepped != cleared.stepped or not torch.equal(record.given[1], again.given[1]):
        return  # the step keeps something that cannot be put back, so that two runs of it are not comparable
    pairs = list(zip(record.given[1:], cleared.given[1:], strict=False))
    if not pairs:
        return
    first, second = pairs[0]
    if float(second.norm()) == 0 and float(first.norm()) == 0 and any(float(g.norm()) > 0 for g in record.own):
        message = "the gradients are all zero when the optimiser steps: they are cleared between backward() and step()"
        yield Finding("stale-gradients", "error", message, {}, "zero_grad() before backward(), step() behind it")
        return
    off = float((first - second).norm() / second.norm().clamp(min=1e-12))
    if off > 1e-3:
        message = "an update holds gradients of batches from before the last update: they were not cleared"
        yield Finding("stale-gradients", "error", message, {"difference": off}, "zero_grad() once for each update")


def _clipped(given: Sequence[Tensor]) -> bool:
    """Whether updates are all of one length, as where gradients are clipped by their norm."""
    norms = [float(gradient.norm()) for gradient in given]
    return max(norms) < 1.001 * min(norms)


def _alike(record: _Record) -> bool:
    """Whether the step's loss is, but for its sign, the one that is handed over."""
    return all(abs(abs(one) - abs(other)) <= 0.1 * abs(other) for one, other in record.losses)


def _direction(record: _Record) -> Iterator[Finding]:
    """An update's gradients against the mean of its batches' own, and the way the weights then went."""
    begin = 0
    ratios, cosines, calls = [], [], []
    for at, given in zip(record.stepped, record.given, strict=True):
        own = record.own[begin : at + 1]
        begin = at + 1
        if not own or not record.stepped:
            continue
        mean = torch.stack(own).mean(0)
        if float(mean.norm()) == 0:
            continue
        cosines.append(float(given @ mean / (given.norm() * mean.norm()).clamp(min=1e-20)))
        ratios.append(float(given @ mean / mean.square().sum()))
        calls.append(len(own))
    if not cosines:
        return
    cosine, several = sorted(cosines)[len(cosines) // 2], sorted(calls)[len(calls) // 2]
    evidence = {"cosine": cosine, "ratio": sorted(ratios)[len(ratios) // 2], "batches_an_update": several}
    if cosine < (-0.5 if _alike(record) else -0.95):  # a step that does more with its batch may well lead elsewhere
        message = "the step's gradients point against the loss's: it climbs"
        yield Finding("loss-sign", "error", message, evidence, "backward() of the loss itself, not of its negative")
        return
    zero = [float(given.norm()) == 0 for given in record.given]
    if (any(zero) and not all(zero)) or (all(zero) and all(float(own.norm()) > 0 for own in record.own)):
        message = f"in {sum(zero)} of {len(zero)} updates all gradients are zero, where the loss has some"
        yield Finding("loss-clipped", "error", message, evidence, "clip gradients (clip_grad_norm_), never the loss")
        return
    steady = max(ratios) < 1.2 * min(ratios) if min(ratios) > 0 else False
    of = f"the mean of its {several} batches'" if several > 1 else "the loss's on its batch"
    if cosine > 0.95 and steady and evidence["ratio"] > 1.5:
        message = f"an update's gradients are {evidence['ratio']:.1f} times {of}: parts were summed, not averaged"
        yield Finding(
            "accumulation-scale", "error", message, evidence, "divide each part's loss by the number of parts"
        )
    elif several > 1 and cosine > 0.99 and steady and evidence["ratio"] < 0.7 and not _clipped(record.given):
        message = f"an update's gradients are {evidence['ratio']:.2f} times {of}"
        yield Finding("accumulation-scale", "error", message, evidence, "divide by the number of batches once")
    moved = [after - before for before, after in zip(record.before, record.after, strict=False)]
    against = [float(m @ g) for m, g in zip(moved, record.given, strict=False) if float(g.norm()) > 0]
    if against and sorted(against)[len(against) // 2] > 0 and cosine > 0.5:
        message = "the optimiser moves the weights along the gradient: it climbs"
        yield Finding("loss-sign", "error", message, evidence, "maximize=False")
