"""Pre-flight: cheap experiments before step 0 that a healthy task, network and data set pass.

What holds for any network is checked as it is in any other program, see `checks`; what a task alone knows, such as
which role is causal, how long rows are without padding, or what guessing loses, is checked here. Each is a differential
test with its own control rather than a tuned threshold; where a threshold stays, its reason stands beside it. Weights
and random states are put back.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ..checks import dependence, learning
from ..checks.dependence import SAME, difference
from ..checks.lab import Lab
from ..checks.program import Program
from ..collect.encode import Encoded
from ..finding import Finding, Severity, worst_first
from ..kind import Batch
from ..rng import SampleRandom
from ..task import Task

__all__ = ["preflight"]

ROWS = 32  # rows in the batch of the checks: enough to hold several classes, few enough to overfit in a second
FIT_STEPS = 100
FIT_LR = 3e-3
STEP_SECONDS = 0.05  # of one step on that batch: fewer rows where it takes longer
FEW = 8  # rows in the batches of checks that look at single rows
FIT_SECONDS = 20.0  # for learning one batch: what takes longer is not judged


@dataclass(frozen=True)
class _Subject:
    """What the checks look at: a task, a fresh network, and one training batch as it is and augmented."""

    task: Task
    model: nn.Module
    batch: Batch
    augmented: Batch

    def loss(self, model: nn.Module, batch: Batch) -> Tensor:
        return self.task.loss(self.task.forward(model, batch), batch)

    @torch.no_grad()
    def evaluated(self, batch: Batch) -> dict[str, Tensor]:
        """Outputs in evaluation mode."""
        was_training = self.model.training
        outputs = self.task.forward(self.model.eval(), batch)
        self.model.train(was_training)
        return outputs


def preflight(task: Task, model: nn.Module, encoded: Encoded, train_rows: Tensor) -> list[Finding]:
    """Run every check on copies of `model`; returns findings, worst first."""
    step = max(1, len(train_rows) // ROWS)
    batch = encoded.batch(train_rows[::step][:ROWS])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        augmented = task.augment(batch, SampleRandom(0, 0, batch.index))
        subject = _Subject(task, model, batch, augmented)
        found = [finding for check in CHECKS for finding in check(subject)]
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
    task, batch = subject.task, subject.batch
    with torch.no_grad():
        outputs = task.forward(copy.deepcopy(subject.model).train(), batch)
        expected = task.answer_kind.chance_loss(outputs, batch.targets[task.answer_role])
        if expected is None:
            return
        loss = float(task.loss(outputs, batch))
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


class _AsModel(nn.Module):
    """A task's network as a program calls one: with the parts of a batch by name."""

    def __init__(self, task: Task, network: nn.Module) -> None:
        super().__init__()
        self.task, self.network = task, network
        self.sees_answers = type(task).forward is not Task.forward  # the answer so far, while it is trained

    def forward(self, **parts: Tensor) -> dict[str, Tensor]:
        index = next(iter(parts.values())).new_zeros(len(next(iter(parts.values()))), dtype=torch.int64)
        return self.task.forward(self.network, Batch(_under("given.", parts), _under("answer.", parts), index))


def _under(prefix: str, parts: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in parts.items() if name.startswith(prefix)}


def _any_network(subject: _Subject) -> Iterator[Finding]:
    """Checks that hold for every program, made of this one."""
    task, model = subject.task, _AsModel(subject.task, subject.model)

    def parts(batch: Batch) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        given = {f"given.{role}": tensor for role, tensor in batch.inputs.items()}
        answers = {f"answer.{role}": tensor for role, tensor in batch.targets.items()}
        return given | (answers if model.sees_answers else {}), given | answers

    def loss(outputs: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
        index = torch.zeros(len(next(iter(targets.values()))), dtype=torch.int64)
        return task.loss(outputs, Batch(_under("given.", targets), _under("answer.", targets), index))

    rows = torch.arange(min(FEW, len(subject.batch)), device=subject.batch.index.device)
    batches = [parts(_rows(subject.batch, rows)), parts(_rows(subject.augmented, rows))]
    lab = Lab(Program.of({"model": model, "loss": loss, "train": batches}))
    for check in (learning.unregistered, learning.weights, learning.symmetry, dependence.batch_mixing):
        yield from check(lab)
    for finding in dependence.input_ignored(lab):
        if finding.evidence["input"].startswith("given."):  # which part of the answer so far is seen, a task knows
            yield replace(finding, message=finding.message.replace("'given.", "'"))


def _time_leak(subject: _Subject) -> Iterator[Finding]:
    """What comes later is replaced: outputs for what is before must stay. Else the network sees its own answer."""
    role, batch = subject.task.causal, subject.batch
    part = batch.targets.get(role or "")
    if role is None or part is None or part.shape[1] < 3:
        return
    at = part.shape[1] // 2
    later = torch.cat([part[:, :at], part[:, at:].flip(0)], 1)
    inputs = {**batch.inputs, role: later} if role in batch.inputs else batch.inputs
    before = subject.evaluated(batch)
    after = subject.evaluated(Batch(inputs, {**batch.targets, role: later}, batch.index))
    early = [{name: value[:, :at] for name, value in outputs.items() if value.dim() > 2} for outputs in (before, after)]
    moved = _moved(early[0], early[1])
    if moved > SAME:
        message = f"outputs up to position {at} of {role!r} depend on what comes after it: they move by {moved:.2g}"
        yield Finding("time-leak", "error", message, {"position": at, "moved": moved}, "mask what comes later")


def _padding_leak(subject: _Subject) -> Iterator[Finding]:
    """The shortest row of the batch, alone and without its padding, must be answered as within the batch."""
    batch, task = subject.batch, subject.task
    ragged = {**batch.inputs, **batch.targets}
    lengths = {
        role: tensor.ne(padding).reshape(*tensor.shape[:2], -1).any(2).sum(1).clamp(min=1)
        for role, tensor in ragged.items()
        if (padding := task.kinds[role].padding) is not None
    }
    if not lengths:
        return
    row = int(torch.stack(list(lengths.values())).sum(0).argmin())
    keep = {role: int(found[row]) for role, found in lengths.items()}
    if all(keep[role] == ragged[role].shape[1] for role in keep) or not all(keep.values()):
        return

    def trimmed(part: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {role: t[row : row + 1, : keep[role]] if role in keep else t[row : row + 1] for role, t in part.items()}

    alone = subject.evaluated(Batch(trimmed(batch.inputs), trimmed(batch.targets), batch.index[row : row + 1]))
    within = {name: value[row : row + 1] for name, value in subject.evaluated(batch).items()}
    for name, value in alone.items():
        if value.dim() > 2:
            within[name] = within[name][:, : value.shape[1]]
    moved = _moved(alone, within)
    if moved > SAME:
        message = f"padding changes the outputs of the row it follows: they move by {moved:.2g}"
        yield Finding("padding-leak", "error", message, {"moved": moved, "length": keep}, "mask the padding")


def _rows(batch: Batch, rows: Tensor) -> Batch:
    inputs = {role: tensor[rows] for role, tensor in batch.inputs.items()}
    return Batch(inputs, {role: tensor[rows] for role, tensor in batch.targets.items()}, batch.index[rows])


def _moved(before: Mapping[str, Tensor], after: Mapping[str, Tensor]) -> float:
    """The largest difference of two outputs, as a share of their largest value."""
    return max((difference(value.float(), after[name].float()) for name, value in before.items()), default=0.0)


def _learning(subject: _Subject) -> Iterator[Finding]:
    """One small batch can be learned by heart, and only by looking at it: a twin that sees zeros does worse."""
    batch = _affordable(subject)
    seeing = _fit(subject, batch, FIT_STEPS)
    evidence = {"before": seeing.first, "after": seeing.last, "steps": seeing.steps, "rows": len(batch)}
    # A decoder that is shown the answer so far learns a small batch by heart without its input: no control there.
    blind_loss = math.inf
    if subject.task.causal is None or subject.task.causal in batch.inputs:
        blank = {role: torch.zeros_like(tensor) for role, tensor in batch.inputs.items()}
        evidence["zeroed_input"] = blind_loss = _fit(
            subject, Batch(blank, batch.targets, batch.index), seeing.steps
        ).last
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
    elif seeing.last > 0.9 * blind_loss:
        message = f"with its input zeroed the network learns one batch as well ({blind_loss:.3f}, {seeing.last:.3f})"
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
    return _rows(subject.batch, torch.arange(keep, device=subject.batch.index.device))


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


CHECKS = (_input_scale, _initial_loss, _any_network, _time_leak, _padding_leak, _learning)
