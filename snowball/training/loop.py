"""The training loop. It knows a task by its contract alone, and adds to a hand-written loop only what is shown.

B rows in a batch; a step is one update of the weights, over `train.accumulate` batches.
"""

from __future__ import annotations

import copy
import math
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ..collect.encode import Encoded
from ..finding import BadInput, Finding, GateFailed
from ..kind import Batch
from ..recipe import Recipe
from ..rng import SampleRandom, mix
from ..task import Task
from .epochs import Epochs, evaluation_batches
from .optimisers import build_optimisers, load_optimiser_tensors, lr_factor, optimiser_tensors, set_lr
from .transfer import learning_parts, resting_modules
from .watch import Watch

__all__ = ["Listener", "Progress", "Totals", "Trainer", "measure_rows", "tensors_under", "training_rows"]

HELD_BYTES = 2**20  # of batches and outputs that wait to be measured together
LOGGED_STEPS = 100  # steps that are logged over a whole training, beside every epoch


class Totals:
    """Sums of `measure` and of the loss. A step only hands its tensors over: small batches are measured many at a
    time, which `measure` allows since it is additive, and nothing waits for a number until it is asked for.
    """

    def __init__(self, task: Task) -> None:
        self._task = task
        self._sums: dict[str, Tensor] = {}  # name -> (N + 1,): a sum of N numbers, mostly one, and the count
        self._waiting: list[tuple[dict[str, Tensor], Batch, Tensor]] = []
        self._most_waiting = 1

    def add(self, outputs: Mapping[str, Tensor], batch: Batch, loss: Tensor) -> None:
        """Count a batch, of which `loss` is the mean."""
        if self._waiting and not _alike(self._waiting[0][:2], (outputs, batch)):
            self._fold()
        if not self._waiting:
            held = sum(tensor.nbytes for part in (outputs, batch.inputs, batch.targets) for tensor in part.values())
            self._most_waiting = max(1, min(64, HELD_BYTES // held))
        self._waiting.append(({name: value.detach() for name, value in outputs.items()}, batch, loss.detach()))
        if len(self._waiting) >= self._most_waiting:
            self._fold()

    @torch.no_grad()
    def _fold(self) -> None:
        """Add what is waiting to the sums, in double precision where the device has it."""
        if not self._waiting:
            return
        outputs, batches, losses = zip(*self._waiting, strict=True)
        self._waiting = []
        merged = _concatenated([batch.inputs for batch in batches]), _concatenated([batch.targets for batch in batches])
        whole = Batch(*merged, torch.cat([batch.index for batch in batches]))
        measures = self._task.measure(_concatenated(outputs), whole)
        device = losses[0].device
        precise = torch.float32 if device.type == "mps" else torch.float64
        counts = torch.stack(
            [torch.as_tensor(self._task.count(batch), dtype=precise, device=device) for batch in batches]
        )
        measures["loss"] = (torch.stack(losses).to(precise) * counts).sum(), counts.sum()
        for name, (value, count) in measures.items():
            counted = torch.as_tensor(count, dtype=precise, device=device).reshape(1)
            both = torch.cat([value.to(precise).reshape(-1), counted])
            self._sums[name] = self._sums[name] + both if name in self._sums else both

    def state(self) -> dict[str, Tensor]:
        """Sum and count by name, the count last."""
        self._fold()
        return dict(self._sums)

    def counted(self) -> int:
        """What all losses so far were the means over: rows, or tokens."""
        return int(self.state()["loss"][-1])

    def load(self, sums: Mapping[str, Tensor]) -> None:
        self._sums = dict(sums)

    def means(self) -> dict[str, float]:
        """The means by name, and what follows from them."""
        means: dict[str, Any] = {}
        for name, both in sorted(self.state().items()):
            *values, count = both.tolist()
            shares = [value / count if count else math.nan for value in values]
            means[name] = shares[0] if len(shares) == 1 else shares
        return self._task.derive(means)


def _alike(first: tuple[Mapping[str, Tensor], Batch], other: tuple[Mapping[str, Tensor], Batch]) -> bool:
    """Whether two batches and their outputs can be joined: all but the number of rows is equal."""
    pairs = ((first[0], other[0]), (first[1].inputs, other[1].inputs), (first[1].targets, other[1].targets))
    return all(mine[name].shape[1:] == value.shape[1:] for mine, theirs in pairs for name, value in theirs.items())


def _concatenated(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    if len(parts) == 1:
        return dict(parts[0])
    return {name: torch.cat([part[name] for part in parts]) for name in parts[0]}


@dataclass
class Progress:
    """Where a training stands, JSON-able; with the tensors of a checkpoint it is all that resuming needs."""

    epoch: int = 0
    step_in_epoch: int = 0
    best: float | None = None
    best_loss: float = math.inf
    """Validation loss of the best epoch: between equal metrics the lower loss decides."""
    best_epoch: int = -1
    log: list[dict[str, Any]] = field(default_factory=list)
    """The rows of metrics.jsonl so far."""
    looks: list[dict[str, Any]] = field(default_factory=list)
    """What the watch has seen of single steps, see watch.py."""
    findings: list[dict[str, Any]] = field(default_factory=list)

    def epochs(self) -> list[dict[str, Any]]:
        return [row for row in self.log if row["event"] == "epoch"]


class Listener(Protocol):
    """What a training tells while it runs. `stopping` is asked after every step."""

    def stepped(self, trainer: Trainer, rows: int) -> None: ...
    def logged(self, row: Mapping[str, Any]) -> None: ...
    def improved(self, trainer: Trainer) -> None: ...
    def found(self, trainer: Trainer, finding: Finding) -> None: ...
    def stopping(self) -> bool: ...


class Trainer:
    """A model, its optimisers and where they stand. `run()` trains to the end, or until the listener stops it."""

    def __init__(
        self, task: Task, model: nn.Module, encoded: Encoded, splits: Mapping[str, Tensor], *, watched: bool = True
    ) -> None:
        self.task = task
        self.recipe: Recipe = task.recipe
        self._train = task.recipe.train
        self.encoded = encoded
        self.splits = splits
        self.device = encoded.device
        self.model = model
        self.averaged = copy.deepcopy(model).eval() if self.recipe.train.ema else None
        self.resting = resting_modules(task, model)
        self.parameters = [parameter for parameter in model.parameters() if parameter.requires_grad]
        self.optimisers = build_optimisers(model, self.recipe.optim, learning_parts(task, model))
        self.progress = Progress()
        self.totals = Totals(task)
        self._autocast = self.autocast()
        self._forward = torch.compile(task.forward) if self.recipe.train.compile else task.forward
        self.epochs = Epochs(splits["train"], encoded.lengths, self._train)
        self.steps_per_epoch = self.epochs.num_steps
        self.num_steps = self._train.steps or self.steps_per_epoch * self._train.epochs
        self.num_epochs = math.ceil(self.num_steps / self.steps_per_epoch)
        self._watch = Watch(self) if watched else None

    @property
    def step(self) -> int:
        return self.progress.epoch * self.steps_per_epoch + self.progress.step_in_epoch

    @property
    def over(self) -> bool:
        """Whether all epochs are done, or patience has run out."""
        at, patience = self.progress, self._train.patience
        return at.epoch >= self.num_epochs or 0 < patience <= at.epoch - 1 - at.best_epoch

    @property
    def best_model(self) -> nn.Module:
        """The network that is validated and kept: the moving average where there is one."""
        return self.model if self.averaged is None else self.averaged

    def autocast(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self._train.precision == "bf16" else nullcontext()

    def run(self, listener: Listener) -> None:
        at = self.progress
        self._stop(Finding(**finding) for finding in at.findings)  # of before a resume
        while not self.over:
            started, first_step = time.perf_counter(), at.step_in_epoch
            val_losses = [row["val_loss"] for row in at.epochs()]
            self.model.train()
            for module in self.resting:
                module.eval()
            log_every = max(1, self.num_steps // LOGGED_STEPS)
            steps = min(self.steps_per_epoch, self.num_steps - at.epoch * self.steps_per_epoch)  # the last may be short
            for rows in islice(self.epochs.steps(at.epoch), at.step_in_epoch, steps):
                lr = self._set_lr(self.step, val_losses)
                self._update(rows)
                at.step_in_epoch += 1
                if self.step % log_every == 0:
                    elapsed = time.perf_counter() - started
                    self._log(listener, {"event": "step", **self.totals.means(), "lr": lr, "elapsed": elapsed})
                self._report(listener, self._watch.of_step() if self._watch else [])
                listener.stepped(self, len(rows))
                if listener.stopping():
                    return
            seconds = time.perf_counter() - started
            lr = self._set_lr(self.step - 1, val_losses)  # of the last step, which may have been before a resume
            self._finish_epoch(listener, lr, seconds, at.step_in_epoch - first_step)

    def _set_lr(self, step: int, val_losses: list[float]) -> float:
        factor = lr_factor(self.recipe.schedule, step, self.num_steps, self.steps_per_epoch, val_losses)
        return set_lr(self.optimisers, factor, step // self.steps_per_epoch)

    def _update(self, rows: Tensor) -> None:
        """One step of the optimiser over the batches of `rows`; gradients are averaged over all that they count."""
        train = self._train
        batches = [self.encoded.batch(part) for part in self.epochs.batches(rows)]
        shares = _shares([self.task.count(batch) for batch in batches])
        for batch, share in zip(batches, shares, strict=True):
            batch = self.task.augment(batch, SampleRandom(train.seed, self.progress.epoch, batch.index))
            with self._autocast:
                outputs = self._forward(self.model, batch)
                loss = self.task.loss(outputs, batch)
            (loss if share is None else loss * share).backward()
            self.totals.add(outputs, batch, loss)
        if self._watch:
            self._watch.before_step()
        if train.clip is not None:
            nn.utils.clip_grad_norm_(self.parameters, train.clip)
        for optimiser in self.optimisers:
            optimiser.step()
        if self._watch:
            self._watch.after_step()
        for parameter in self.parameters:
            parameter.grad = None
        if self.averaged is not None:
            self._average(self.averaged)

    @torch.no_grad()
    def _average(self, averaged: nn.Module) -> None:
        decay = min(self.recipe.train.ema, (1 + self.step) / (10 + self.step))  # young averages forget faster
        torch._foreach_lerp_(list(averaged.parameters()), list(self.model.parameters()), 1 - decay)
        for mean, buffer in zip(averaged.buffers(), self.model.buffers(), strict=True):
            mean.copy_(buffer)

    def _finish_epoch(self, listener: Listener, lr: float, seconds: float, steps: int) -> None:
        at = self.progress
        trained = self.totals.means()
        started = time.perf_counter()
        validated = measure_rows(self.task, self.best_model, self.encoded, self.splits["val"], self.autocast())
        num_rows = len(self.splits["train"]) * steps / self.steps_per_epoch
        speed = {"seconds": seconds, "val_seconds": time.perf_counter() - started}
        speed |= {"ms_per_step": 1000 * seconds / max(1, steps), "samples_per_second": num_rows / seconds}
        kind = self.task.answer_kind
        if kind.padding is not None:  # a row holds many answers
            speed[f"{kind.counted}_per_second"] = self.totals.counted() * steps / at.step_in_epoch / seconds
        metric = self.task.metric
        value, loss = validated[metric.name], validated["loss"]
        better = metric.better(value, at.best) or (value == at.best and loss < at.best_loss)
        if better:
            at.best, at.best_loss, at.best_epoch = value, loss, at.epoch
        row = {"event": "epoch", **trained, **{f"val_{name}": v for name, v in validated.items()}, "lr": lr, **speed}
        self._log(listener, {**row, "best": better})
        at.epoch, at.step_in_epoch, self.totals = at.epoch + 1, 0, Totals(self.task)
        if better:
            listener.improved(self)
        self._report(listener, self._watch.of_epoch() if self._watch else [])

    def _log(self, listener: Listener, row: dict[str, Any]) -> None:
        row = {"epoch": self.progress.epoch, "step": self.step, **row}
        self.progress.log.append(row)
        listener.logged(row)
        if not math.isfinite(row["loss"]):
            finding = Finding(
                "non-finite",
                "error",
                f"the training loss is {row['loss']} at step {row['step']}",
                {"step": row["step"], "lr": row["lr"]},
                "lower optim.lr, set train.clip=1, or look for NaN in the data",
            )
            self._report(listener, [finding])

    def _report(self, listener: Listener, findings: Sequence[Finding]) -> None:
        """Tell what was found, each check once, or once more where it has become worse; an error that is not waived
        stops the training.
        """
        for finding in findings:
            told = [one["severity"] for one in self.progress.findings if one["check"] == finding.check]
            if "error" in told or finding.severity in told:
                continue
            self.progress.findings.append(finding.to_json())
            listener.found(self, finding)
            self._stop([finding])

    def _stop(self, findings: Iterable[Finding]) -> None:
        for finding in findings:
            if finding.severity == "error" and finding.check not in self.recipe.waive:
                raise GateFailed(f"training stopped: {finding.message}", [finding])

    def tensors(self) -> dict[str, Tensor]:
        """Everything a checkpoint holds as tensors: weights, averages, optimisers, running totals, random states."""
        sums = self.totals.state()
        held = {f"model/{name}": value for name, value in self.model.state_dict().items()}
        if self.averaged is not None:
            held |= {f"averaged/{name}": value for name, value in self.averaged.state_dict().items()}
        held |= {f"totals/{name}": value for name, value in sums.items()}
        held["random/cpu"] = torch.get_rng_state()
        if self.device.type == "cuda":
            held["random/cuda"] = torch.cuda.get_rng_state(self.device)
        return held | optimiser_tensors(self.optimisers)

    def load(self, tensors: dict[str, Tensor], progress: Progress) -> None:
        """Go back to where `tensors()` and `progress` were taken."""
        self.model.load_state_dict(tensors_under("model/", tensors))
        if self.averaged is not None:
            self.averaged.load_state_dict(tensors_under("averaged/", tensors))
        load_optimiser_tensors(self.optimisers, tensors)
        self.totals.load({name: value.to(self.device) for name, value in tensors_under("totals/", tensors).items()})
        self.progress = progress
        torch.set_rng_state(tensors["random/cpu"])
        if self.device.type == "cuda":
            torch.cuda.set_rng_state(tensors["random/cuda"], self.device)


def tensors_under(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Those of a checkpoint's tensors whose names begin so, by the rest of their names."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


@torch.inference_mode()
def measure_rows(
    task: Task, model: nn.Module, encoded: Encoded, rows: Tensor, context: AbstractContextManager[Any] | None = None
) -> dict[str, float]:
    """The means of `measure` and of the loss over rows, in evaluation mode; the model's mode is put back after."""
    totals, was_training = Totals(task), model.training
    model.eval()
    with context or nullcontext():
        for batch in evaluation_batches(encoded, rows, task.recipe.train):
            outputs = task.forward(model, batch)
            totals.add(outputs, batch, task.loss(outputs, batch))
    model.train(was_training)
    return totals.means()


def _shares(counts: Sequence[int | Tensor]) -> list[float | Tensor | None]:
    """Each batch's share of a step, by what its loss is the mean over; None where it is all of it."""
    if len(counts) == 1:
        return [None]
    total = sum(counts)
    return [count / total for count in counts]


def seed_everything(seed: int) -> None:
    """Seed torch's own generators: initial weights and dropout. Data order and augmentation are counted, see rng.py."""
    torch.manual_seed(mix(seed, 0))


def new_model(task: Task, device: torch.device) -> nn.Module:
    """A network with the initial weights that the recipe's seed gives, in the memory layout it asks for."""
    seed_everything(task.recipe.train.seed)
    model = task.model().to(device)
    if task.recipe.train.channels_last is True:
        model = model.to(memory_format=torch.channels_last)
    return model


def training_rows(task: Task, encoded: Encoded, splits: Mapping[str, Tensor]) -> tuple[Encoded, dict[str, Tensor]]:
    """What a training steps through: the rows of each split, or the task's windows of them."""
    names = list(splits)
    cut, numbers = encoded.windows(task.window, torch.cat([splits[name] for name in names]))
    if cut is encoded:
        return encoded, dict(splits)
    counts = [len(encoded.windows(task.window, splits[name])[1]) for name in names]
    if nothing := [name for name, count in zip(names, counts, strict=True) if not count and len(splits[name])]:
        raise BadInput(f"no {nothing[0]} row holds more than one token: there is nothing to predict")
    return cut, dict(zip(names, numbers.split(counts), strict=True))


def as_rows(splits: Mapping[str, np.ndarray], device: torch.device) -> dict[str, Tensor]:
    """Row numbers of each split as tensors on the device."""
    return {name: torch.as_tensor(rows, dtype=torch.int64, device=device) for name, rows in splits.items()}
