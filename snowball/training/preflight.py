"""Pre-flight: cheap experiments before step 0 that a healthy task, network and data set pass.

Each is a differential test with its own control rather than a tuned threshold; where a threshold stays, its reason
stands beside it. The network under test is a copy, and torch's random state is put back.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..collect.encode import Encoded
from ..finding import Finding, Severity, worst_first
from ..kind import Batch
from ..rng import SampleRandom
from ..task import Task

__all__ = ["preflight"]

ROWS = 32  # rows in the batch of the checks: enough to hold several classes, few enough to overfit in a second
FIT_STEPS = 100
FIT_LR = 3e-3
STEP_SECONDS = 0.15  # of one step on that batch: fewer rows where it takes longer
FIT_SECONDS = 20.0  # for learning one batch: what takes longer is not judged


@dataclass(frozen=True)
class _Subject:
    """What the checks look at: a task, a fresh network, and one training batch as it is and augmented."""

    task: Task
    model: nn.Module
    batch: Batch
    augmented: Batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.task.loss(model(**batch.inputs), batch)


def preflight(task: Task, model: nn.Module, encoded: Encoded, train_rows: Tensor) -> list[Finding]:
    """Run every check on copies of `model`; returns findings, worst first."""
    step = max(1, len(train_rows) // ROWS)
    batch = encoded.batch(train_rows[::step][:ROWS])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        augmented = task.augment(batch, SampleRandom(0, 0, batch.index))
        subject = _Subject(task, model, batch, augmented)
        found = [
            finding for check in (_input_scale, _initial_loss, _batch_mixing, _learning) for finding in check(subject)
        ]
    return worst_first(found)


def _input_scale(subject: _Subject) -> Iterator[Finding]:
    for role, tensor in subject.augmented.inputs.items():
        if tensor.is_floating_point() and not bool(tensor.isfinite().all()):
            message = f"input {role!r} holds NaN or infinity after augmentation"
            yield Finding("non-finite", "error", message, {"role": role}, "clean the data, or lower the augmentation")
    for role, tensor in subject.batch.inputs.items():
        if len(tensor) > 1 and bool((tensor == tensor[:1]).all()):
            message = f"input {role!r} is the same in all {len(tensor)} rows of a batch"
            yield Finding("constant-input", "error", message, {"role": role}, "look at the data")


def _initial_loss(subject: _Subject) -> Iterator[Finding]:
    """A network that knows nothing should lose what guessing loses: log C for C classes (Karpathy, 2019)."""
    expected = subject.task.answer_kind.chance_loss()
    if expected is None:
        return
    with torch.no_grad():
        loss = float(subject.loss(copy.deepcopy(subject.model).train(), subject.batch))
    evidence = {"loss": loss, "expected": expected}
    if not math.isfinite(loss):
        yield Finding(
            "non-finite", "error", f"the loss before training is {loss}", evidence, "check inputs and initial weights"
        )
    elif loss > 2 * expected + 1:  # PyTorch's and timm's own initialisations stay within 0.5 of log C
        message = (
            f"the loss before training is {loss:.2f}, guessing gives {expected:.2f}: the first steps only undo this"
        )
        yield Finding("init-scale", "warning", message, evidence, "scale the last layer's initial weights down")


def _batch_mixing(subject: _Subject) -> Iterator[Finding]:
    """In evaluation mode a row's outputs must not depend on other rows: its gradient by them is zero."""
    model = copy.deepcopy(subject.model).eval()
    inputs = {role: tensor.detach().float().requires_grad_() for role, tensor in subject.batch.inputs.items()}
    outputs = model(**inputs)
    row = len(subject.batch) // 2
    score = torch.stack([value[row].float().square().sum() for value in outputs.values()]).sum()
    gradients = torch.autograd.grad(score, list(inputs.values()), allow_unused=True)
    for role, gradient in zip(inputs, gradients, strict=True):
        if gradient is None or not bool(gradient[row].any()):
            yield Finding(
                "input-ignored", "error", f"the outputs do not depend on input {role!r}", {}, "use it, or leave it out"
            )
            continue
        gradient[row] = 0
        others = int(gradient.flatten(1).any(1).sum())
        if others:
            message = f"in evaluation mode a row's outputs depend on {others} other rows of its batch"
            fix = "look for a view or reshape that mixes the batch dimension, or normalisation over it"
            yield Finding("batch-mixing", "error", message, {"role": role, "rows": others}, fix)


def _learning(subject: _Subject) -> Iterator[Finding]:
    """One small batch can be learned by heart, and only by looking at it: a twin that sees zeros does worse."""
    batch = _affordable(subject)
    seeing = _fit(subject, batch, FIT_STEPS)
    blank = {role: torch.zeros_like(tensor) for role, tensor in batch.inputs.items()}
    blind = _fit(subject, Batch(blank, batch.targets, batch.index), seeing.steps)
    evidence = {"before": seeing.first, "after": seeing.last, "zeroed_input": blind.last, "steps": seeing.steps}
    evidence["rows"] = len(batch)
    fall = f"{seeing.steps} steps on one batch took its loss only from {seeing.first:.3f} to {seeing.last:.3f}"
    if not math.isfinite(seeing.last):
        message = f"the loss becomes {seeing.last} while learning one batch"
        yield Finding("non-finite", "error", message, evidence, "check the loss and the scale of the inputs")
    elif seeing.last > 0.5 * seeing.first and seeing.steps < FIT_STEPS:
        message = f"too slow to tell whether one batch can be learned: {fall} within {FIT_SECONDS:g} s"
        yield Finding("preflight-abstained", "note", message, evidence)
    elif seeing.last > 0.5 * seeing.first:
        severity: Severity = "error" if seeing.last > 0.95 * seeing.first else "warning"
        fix = "look for a cut gradient, a wrong loss, or targets that do not belong"
        yield Finding("cannot-overfit", severity, fall, evidence, fix)
    elif seeing.last > 0.9 * blind.last:
        message = f"with its input zeroed the network learns one batch as well ({blind.last:.3f}, {seeing.last:.3f})"
        fix = "look at the input: constant, shuffled, or scaled to nothing"
        yield Finding("input-ignored", "warning", message, evidence, fix)


class _Fit(NamedTuple):
    first: float
    last: float
    steps: int


def _affordable(subject: _Subject) -> Batch:
    """The batch, or fewer of its rows where a step takes longer than STEP_SECONDS."""
    model = copy.deepcopy(subject.model).train()
    started = time.perf_counter()
    subject.loss(model, subject.batch).backward()
    share = STEP_SECONDS / (time.perf_counter() - started)
    keep = len(subject.batch) if share >= 1 else max(4, int(len(subject.batch) * share))
    inputs, targets = (
        {role: tensor[:keep] for role, tensor in part.items()} for part in (subject.batch.inputs, subject.batch.targets)
    )
    return Batch(inputs, targets, subject.batch.index[:keep])


def _fit(subject: _Subject, batch: Batch, steps: int) -> _Fit:
    """Adam on one batch, dropout off, until its loss is a tenth, the steps are done or the time is up."""
    model = copy.deepcopy(subject.model).train()
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.eval()
    optimiser = torch.optim.Adam(model.parameters(), lr=FIT_LR)
    first = loss = subject.loss(model, batch)
    started, done = time.perf_counter(), 0
    while done < steps:
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss, done = subject.loss(model, batch), done + 1
        if done % 10 == 0 and steps == FIT_STEPS and float(loss.detach()) < 0.1 * float(first.detach()):
            break
        if time.perf_counter() - started > FIT_SECONDS:
            break
    return _Fit(float(first.detach()), float(loss.detach()), done)
