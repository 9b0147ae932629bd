"""Lab: a program, its rows, and experiments on it that checks share, each made once.

An experiment trains the program as it is, or with one thing changed, from the same random state: what differs between
two outcomes is due to the change.
"""

from __future__ import annotations

import math
import operator
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any

import torch
from torch import Tensor, nn

from .answer import Answer, joined_answers, read_answer, share_of_kin
from .experiment import AS_IT_IS, Change, Outcome, changed_rates
from .invariance import compares_rows, embeds, loss_is_flat, relative
from .jagged import Jagged
from .nested import edges, joined, row_count, rows_of
from .program import Program, generators_state, without_workers
from .sample import Sample, count_rows, together

__all__ = ["MAX_ROWS", "PROBED", "Lab", "OutOfTime"]

MAX_ROWS = 4000  # of a split that are looked at: tells shares to a percent
MOST_ROWS = 20_000  # of held-out ones that a metric is handed
PROBED = 32  # rows in the batch that single experiments use
DEFAULT_STEPS = 200  # where a program does not say how long it trains
OWN_SECONDS = 9.0  # of a training as it is; a longer one is cut, and so are all that are compared with it


class OutOfTime(Exception):
    """The time for checks is up; what was not tested is said."""


class Lab:
    """The program under test and what is known of it so far. `seconds` is what all experiments may take."""

    def __init__(self, program: Program, seconds: float = 60.0) -> None:
        self.program = _opened(program)
        self.started = time.monotonic()
        self.seconds = seconds
        self._outcomes: dict[str, Outcome] = {}

    @property
    def left(self) -> float:
        return self.seconds - (time.monotonic() - self.started)

    # --- rows ---------------------------------------------------------------------------------------------------

    @cached_property
    def train(self) -> Sample:
        return self.sample(self.program.train)

    @cached_property
    def val(self) -> Sample | None:
        return None if self.program.val is None else self.sample(self.program.val)

    @cached_property
    def every_val(self) -> Sample | None:
        """All held-out rows, for what has to know what the program's metric looks at."""
        found = self.val
        if found is None or found.complete or self.program.val is None:
            return found
        return self.sample(self.program.val, MOST_ROWS)

    @property
    def held_out(self) -> Sample:
        """Validation rows, or training rows where there are none."""
        return self.val if self.val is not None and len(self.val) else self.train

    def sample(self, loader: Iterable[Any], rows: int = MAX_ROWS) -> Sample:
        """One pass over a loader, as far as `rows`; only batches of the first one's make."""
        held: list[tuple[Any, Any]] = []
        count, complete = 0, True
        with self.program.kept(seed=0):
            for batch in self.program.batches(without_workers(loader)):
                if count >= rows or self.left < 0:
                    complete = False
                    break
                held.append(batch)
                count += count_rows(*batch)
        return Sample(tuple(held), complete)

    @cached_property
    def batch(self) -> tuple[Any, Any]:
        """The first training batch, of at most PROBED rows, or whole where the model takes no other number of them."""
        part = self.part(self.first_batch, PROBED)
        try:
            with self.program.kept(seed=0):
                self.outputs(part[0])
        except (RuntimeError, IndexError, ValueError):
            return self.first_batch
        return part

    @cached_property
    def first_batch(self) -> tuple[Any, Any]:
        with self.program.kept(seed=0):
            return next(iter(self.program.batches(without_workers(self.program.train))))

    def part(self, batch: tuple[Any, Any], rows: int) -> tuple[Any, Any]:
        count = row_count(batch[0])
        if count <= rows or row_count(batch[1]) != count or count != count_rows(*batch) or edges(batch[0]):
            return batch
        return rows_of(batch[0], slice(0, rows)), rows_of(batch[1], slice(0, rows))

    # --- the network --------------------------------------------------------------------------------------------

    def outputs(self, inputs: Any, *, training: bool = False, grad: bool = False) -> Any:
        """What the model gives, in evaluation mode unless told; its state is put back by the caller's `kept`."""
        model = self.program.model
        model.train(training)
        with torch.set_grad_enabled(grad):
            return self.program.outputs(inputs)

    def predict(self, sample: Sample, rows: int = 2000) -> Any:
        """Outputs for a sample's rows in evaluation mode, batch by batch as they came."""
        return together([outputs for outputs, _ in self._answered(sample.batches, rows)])

    def _answered(self, batches: Iterable[tuple[Any, Any]], rows: int = 2000) -> list[tuple[Any, Any]]:
        """(outputs, targets) of batches as they came, as far as `rows`."""
        found, count = [], 0
        for inputs, targets in batches:
            if count >= rows:
                break
            found.append((self.outputs(inputs), targets))
            count += count_rows(inputs, targets)
        return found

    @cached_property
    def answer(self) -> Answer:
        """What the first training batch asks, by the untrained network's outputs."""
        return self.read(*self._first_outputs())

    def read(self, outputs: Any, targets: Any) -> Answer:
        """What is answered; unknown where rows are compared with one another, or outputs are places in a space."""
        answer = read_answer(outputs, targets)
        places = (answer.form == "classes" and self.embeds) or (answer.form == "numbers" and self.relative)
        return replace(answer, form="unknown") if self.compares_rows or places else answer

    @cached_property
    def embeds(self) -> bool:
        return embeds(self)

    @cached_property
    def relative(self) -> bool:
        return relative(self)

    def _read_all(self, pairs: Sequence[tuple[Any, Any]]) -> Answer:
        """What batches of (outputs, targets) answer together."""
        try:
            return self.read(joined([outputs for outputs, _ in pairs]), joined([targets for _, targets in pairs]))
        except (RuntimeError, IndexError):  # of other lengths
            return joined_answers([self.read(*pair) for pair in pairs])

    def _first_outputs(self) -> tuple[Any, Any]:
        with self.program.kept(seed=0):
            return self.outputs(self.first_batch[0], training=True), self.first_batch[1]

    def kin(self, pairs: Sequence[tuple[Any, Any]] | None = None) -> float:
        """How often held-out rows lie nearest to one of their class, by (outputs, targets) or as the network now is."""
        pairs = self._answered(self.held_out.batches) if pairs is None else pairs
        try:
            return share_of_kin(joined([outputs for outputs, _ in pairs]), joined([targets for _, targets in pairs]))
        except (RuntimeError, IndexError):  # of other lengths
            return math.nan

    @cached_property
    def compares_rows(self) -> bool:
        return compares_rows(self)

    @cached_property
    def loss_is_flat(self) -> bool:
        return loss_is_flat(self)

    # --- experiments --------------------------------------------------------------------------------------------

    @property
    def own(self) -> Outcome:
        """The program trained as it is."""
        return self.outcome(AS_IT_IS)

    def gain_again(self, change: Change) -> float:
        """What the program gains by a change where all that is drawn is drawn otherwise."""
        own = self.outcome(replace(AS_IT_IS, name=f"{AS_IT_IS.name}, drawn again", seed=1))
        return own.gain(self.outcome(replace(change, name=f"{change.name}, drawn again", seed=1)))

    @property
    def shuffled(self) -> Outcome:
        """The program trained on the same rows in as large batches, in another random order in each epoch."""
        return self.outcome(self.in_random_order("rows in random order", torch.arange(len(self.train))))

    def in_random_order(self, name: str, rows: Tensor) -> Change:
        """These training rows in batches as large as the program's, in another random order in each epoch."""
        generator = torch.Generator().manual_seed(0)

        def batches() -> Iterator[tuple[Any, Any]]:
            order = rows[torch.randperm(len(rows), generator=generator)]
            for part in order.split(max(self.train.sizes)):
                yield rows_of(self.train.inputs, part), rows_of(self.train.targets, part)

        return Change(name, batches=batches)

    def outcome(self, change: Change) -> Outcome:
        """The program trained with a change. Raises OutOfTime where there is too little left for it."""
        if change.name not in self._outcomes:
            own = self._outcomes.get(AS_IT_IS.name)
            if own is not None and self.left < 1.2 * own.seconds + 0.5:
                raise OutOfTime(f"training once more ({change.name}) takes {own.seconds:.0f} s")
            limit = None if own is None else change.steps or own.steps
            start = self.untrained_metric if self.answer.form == "unknown" else None
            with self.program.kept(seed=change.seed), change.mode():
                if change.seed:
                    generators_state(self.program.train, change.seed)()
                self._outcomes[change.name] = self._train(change, limit, start)
        return self._outcomes[change.name]

    def _train(self, change: Change, limit: int | None, start: float | None) -> Outcome:
        program, model = self.program, self.program.model
        started = time.monotonic()
        if change.prepare is not None:
            change.prepare(model)
        optimizer = program.optimizer or torch.optim.Adam(_trainable(model), 1e-3)
        peak = max((group["lr"] for group in optimizer.param_groups), default=0.0)
        losses: list[Tensor] = []
        lrs: list[float] = []
        finite, cut = True, False
        loader = without_workers(program.train)
        batches = change.batches or (lambda: loader)
        epochs = program.epochs or 10**6
        by_batch = change.each_batch or program.scheduler_step == "batch"
        steps = limit or (10**9 if program.epochs else DEFAULT_STEPS)
        if change.constant_lr:
            peak = max(self.own.lrs, default=peak)
        with changed_rates(optimizer, change, peak if change.constant_lr else None):
            for _ in range(epochs):
                for batch in program.batches(batches()):
                    if len(losses) >= steps:
                        break
                    if limit is None and time.monotonic() - started > OWN_SECONDS:
                        cut = True
                        break
                    lrs.append(max((float(group["lr"]) for group in optimizer.param_groups), default=0.0))
                    inputs = batch[0] if change.inputs is None else change.inputs(batch[0])
                    targets = batch[1] if change.targets is None else change.targets(batch[1])
                    try:
                        losses.append(self.step((inputs, targets), optimizer, plain=change.plain_step))
                    except (RuntimeError, OverflowError):
                        if change.lr <= 1:
                            raise
                        finite, cut = False, False  # numbers that ran away, as the program notices by itself
                        break
                    if program.scheduler is not None and by_batch:
                        program.scheduler.step()
                else:
                    if program.scheduler is not None and not by_batch:
                        _step_scheduler(program.scheduler, losses)
                    if losses and not bool(torch.isfinite(losses[-1])):
                        finite = False
                        break
                    if losses:
                        continue
                break
        values = torch.stack(losses).tolist() if losses else []
        finite = finite and all(math.isfinite(value) for value in values)
        seconds = time.monotonic() - started
        outcome = Outcome(values, lrs, finite, math.nan, math.nan, 0.0, None, None, len(values), cut, seconds)
        return self._judged(change, outcome, start)

    def _judged(self, change: Change, outcome: Outcome, start: float | None) -> Outcome:
        """Fill in what held-out rows say of the network as it now is; `start`: what the metric said of it untrained."""
        program, sample = self.program, self.held_out
        if not len(sample) or not outcome.finite:
            return outcome
        began = time.monotonic()
        batches = sample.batches if change.held_out is None else change.held_out
        if change.inputs is not None:
            batches = [(change.inputs(inputs), targets) for inputs, targets in batches]
        if change.targets is not None:
            batches = [(inputs, change.targets(targets)) for inputs, targets in batches]
        pairs = self._answered(batches)
        answer = self._read_all(pairs)
        outcome.rows = len(sample)
        outcome.answer, outcome.score, outcome.chance = (
            answer,
            answer.score(),
            answer.chance() if answer.form != "unknown" else 0.0,
        )
        if change is AS_IT_IS:
            if answer.form == "unknown":
                outcome.kin = self.kin(pairs)
                outcome.notes["answered"] = [outputs for outputs, _ in pairs]
            outcome.train_score = self._read_all(self._answered(self.train.batches)).score()
        with torch.no_grad():
            try:
                sizes = [count_rows(*batch) for batch in batches[: len(pairs)]]
                losses = [float(program.loss(outputs, targets)) for outputs, targets in pairs]
                outcome.val_loss = sum(map(operator.mul, losses, sizes)) / sum(sizes)
            except Exception as error:  # the program's own code, which may not be made for rows without a gradient
                outcome.notes["val_loss"] = repr(error)
        if (
            program.evaluate is not None
            and program.val is not None
            and not (change.inputs or change.targets or change.held_out)
        ):
            outcome.metric = float(program.evaluate(program.model, program.val))
            if start is not None and answer.form == "unknown" and 0 < outcome.metric <= 1:
                outcome.score, outcome.chance = outcome.metric, start
        outcome.seconds += time.monotonic() - began
        return outcome

    @cached_property
    def untrained_metric(self) -> float | None:
        """What the program's metric says of the network before it learned; None unless within 0 to 1."""
        program = self.program
        if program.evaluate is None or program.val is None:
            return None
        with program.kept(seed=0):
            value = float(program.evaluate(program.model, program.val))
        return value if 0 <= value < 0.99 else None

    def step(self, batch: tuple[Any, Any], optimizer: torch.optim.Optimizer, *, plain: bool = False) -> Tensor:
        """One step as the program does it; returns its loss, detached."""
        program, model = self.program, self.program.model
        if program.train_step is not None and not plain:
            loss = program.train_step(model, (program.closed(batch[0]), batch[1]), optimizer)
            return torch.as_tensor(loss).detach().float().reshape(-1)[:1].squeeze()
        model.train()

        def computed() -> Tensor:
            optimizer.zero_grad()
            loss = program.loss(program.outputs(batch[0]), batch[1])
            loss.backward()
            return loss.detach().float()

        if isinstance(optimizer, torch.optim.LBFGS):  # which asks for the loss several times
            with torch.enable_grad():
                return torch.as_tensor(optimizer.step(computed))
        loss = computed()
        optimizer.step()
        return loss


def _opened(program: Program) -> Program:
    """The program with its texts as rows of a table, where they come as one flat list of words."""
    with program.kept(seed=0):
        try:
            inputs, targets = next(iter(program.batches(without_workers(program.train))))
        except Exception:  # said where the first batch is tried
            return program
    return replace(program, jagged=Jagged.of(inputs, targets))


def _trainable(model: nn.Module) -> list[nn.Parameter]:
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def _step_scheduler(scheduler: Any, losses: list[Tensor]) -> None:
    if isinstance(scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau):
        scheduler.step(float(losses[-1]))
    else:
        scheduler.step()
