"""Train: data → task → recipe → run folder → audit → pre-flight → loop → best weights → evaluation → manifest."""

from __future__ import annotations

import json
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch

from ..collect.encode import Encoded
from ..collect.prepare import Prepared, audit_prepared, prepare, prepare_run
from ..display import Display
from ..finding import BadInput, Finding, GateFailed, SnowballError
from ..run import CONTROL, Run
from ..storage import write_bytes
from ..task import Task
from .adapters import adapt, merged
from .checkpoint import load_checkpoint, newest_checkpoint, save_checkpoint
from .loop import Trainer, as_rows, new_model, seed_everything, tensors_under, training_rows
from .machine import choose_device, environment, keep_freed_memory, measured_recipe
from .preflight import preflight
from .transfer import begin, cache_features

__all__ = ["Interrupted", "check_data", "train"]


class Interrupted(SnowballError):
    """Training was asked to stop; it did, after a checkpoint."""

    def __init__(self, message: str, number: int) -> None:
        super().__init__(message)
        self.exit_code = 128 + number


def train(
    data: str | None,
    asked: Mapping[str, Any],
    *,
    output: Path | None = None,
    resume: Path | None = None,
    display: Display | None = None,
) -> Run:
    """Train on `data` as `asked`, or go on with the run or checkpoint `resume`; returns the finished run."""
    display = display or Display()
    keep_freed_memory()
    started = time.perf_counter()
    if resume is not None:
        run, prepared, checkpoint = _reopen(resume, asked, display)
    else:
        if data is None:
            raise BadInput("train what? snowball train DATA, e.g. snowball train digits")
        run, prepared, checkpoint = None, prepare(data, asked, display), None
    task = prepared.task
    device = choose_device(task.recipe.train.device)
    encoded = prepared.encoded.to(device)
    encoded, splits = training_rows(task, encoded, as_rows(prepared.splits, encoded.index_device))
    _say_data(prepared, display)
    if run is None:
        task.recipe = measured_recipe(task, encoded.batch(splits["train"][: task.recipe.train.batch_size]), device)
    model = new_model(task, device)
    begun = begin(task, model) if checkpoint is None else []
    run = run or Run.create(output, task.recipe, task.schema, environment(device))
    if checkpoint is None:  # of a run that was stopped before its first, too: perhaps by these very gates
        found = [*begun, *audit_prepared(prepared)]
        display.findings("audit", found, run.recipe.waive)
        run.gate("audit", found)
        if task.recipe.train.preflight:
            found = preflight(task, model, encoded, splits["train"])
            display.findings("pre-flight", found, run.recipe.waive)
            run.gate("preflight", found)
    adapt(task, model)
    resumed = load_checkpoint(checkpoint) if checkpoint is not None else None
    if resumed is not None:
        model.load_state_dict(tensors_under("model/", resumed[0]))
    learned, held = cache_features(task, model, encoded, splits) or (task, encoded)
    trainer = Trainer(learned, model, held, splits)
    if learned is not task:
        display.line("features of all rows are computed once; the head alone is trained, without augmentation")
    if resumed is not None:
        trainer.load(*resumed)
        display.line(f"going on from {checkpoint}")
    if (padding := trainer.epochs.padding()) is not None:
        display.line(f"batches of similar length: {padding:.1%} of them is padding")
    display.line(f"training {_network(trainer)} on {device}, {task.recipe.train.precision}, into {run.path}")
    _fit(trainer, run, run.path, display)
    _fit_control(task, run, encoded, splits, display)
    whole = prepared.encoded.to(device)
    return _finish(run, task, trainer, whole, as_rows(prepared.splits, whole.index_device), display, started)


def check_data(data: str, asked: Mapping[str, Any], display: Display) -> list[Finding]:
    """The audit and the pre-flight that `train` would run on this data and recipe, without training."""
    prepared = prepare(data, asked, display)
    task = prepared.task
    device = choose_device(task.recipe.train.device)
    encoded = prepared.encoded.to(device)
    encoded, rows = training_rows(task, encoded, as_rows(prepared.splits, encoded.index_device))
    model = new_model(task, device)
    found = [*begin(task, model), *audit_prepared(prepared)]
    return found + preflight(task, model, encoded, rows["train"])


def _reopen(resume: Path, asked: Mapping[str, Any], display: Display) -> tuple[Run, Prepared, Path | None]:
    """The run, its data and the checkpoint to go on from; None when it was stopped before its first."""
    if changed := [key for key in asked if not key.startswith("waive.")]:
        raise BadInput(f"resume goes on with the run's own recipe; {', '.join(changed)} would change it")
    is_checkpoint = resume.suffix == ".safetensors"
    run = Run(resume.parent.parent if is_checkpoint else resume)
    if run.finished:
        raise BadInput(f"{run.path}: finished already; nothing to resume")
    if asked:  # with what stopped it waived, which changes nothing that is trained
        run.keep_recipe(run.recipe.replace(asked))
    for leftover in run.path.rglob(".*.tmp"):  # of a write that was killed
        leftover.unlink()
    checkpoint = resume if is_checkpoint else newest_checkpoint(run.path / "last")
    if checkpoint is not None:
        load_checkpoint(checkpoint)  # refuse a damaged one before the data is read
    return run, prepare_run(run, display), checkpoint


def _fit_control(task: Task, run: Run, encoded: Encoded, splits: Mapping[str, torch.Tensor], display: Display) -> None:
    """Train the network that the task's own has to beat, if it names one, in the run's folder `control`."""
    seed_everything(task.recipe.train.seed)
    control = task.control()
    if control is None:
        return
    network = control.network.to(encoded.device)
    trainer = Trainer(task, network, encoded, splits, watched=False)
    if (checkpoint := newest_checkpoint(run.path / CONTROL / "last")) is not None:
        trainer.load(*load_checkpoint(checkpoint))
    count = sum(parameter.numel() for parameter in network.parameters())
    display.line(f"training the control beside it: {control.name} ({count:,} parameters)")
    (run.path / CONTROL).mkdir(exist_ok=True)
    _fit(trainer, run, run.path / CONTROL, display)


def _fit(trainer: Trainer, run: Run, folder: Path, display: Display) -> None:
    """The loop, with its checkpoints, its log and its interruptions; all it writes goes to `folder`."""
    write_bytes(folder / "metrics.jsonl", "".join(json.dumps(row) + "\n" for row in trainer.progress.log).encode())
    recorder = _Recorder(run, folder, trainer, display)
    recorder.record(trainer)
    display.start("epoch", trainer.num_steps)
    display.advance(trainer.step)
    try:
        with _signals(recorder), (folder / "metrics.jsonl").open("a", encoding="utf-8", buffering=1) as recorder.file:
            trainer.run(recorder)
            save_checkpoint(folder / "last", trainer)
    except GateFailed as error:
        if error.findings[0].check == "non-finite":  # the weights are lost: the checkpoints before them are kept
            raise
        save_checkpoint(folder / "last", trainer)
        waiver = f'waive.{error.findings[0].check}="your reason"'
        raise GateFailed(
            f"{error}; go on in spite of it with: snowball train resume={run.path} {waiver}", error.findings
        ) from None
    except OSError as error:
        raise BadInput(f"{run.path}: {error.strerror}; go on with: snowball train resume={run.path}") from error
    finally:
        display.stop()
    if recorder.signal:
        raise Interrupted(
            f"stopped after step {trainer.step}; go on with: snowball train resume={run.path}", recorder.signal
        )


class _Recorder:
    """Listens to the loop: writes checkpoints, the log and the best weights, and shows one line an epoch."""

    file: Any

    def __init__(self, run: Run, folder: Path, trainer: Trainer, display: Display) -> None:
        self.signal = 0
        self._run = run
        self._folder = folder
        self._stage = "training" if folder == run.path else folder.name
        self._display = display
        self._every = trainer.recipe.train.checkpoint_seconds
        self._saved = time.monotonic()
        self._metric = name = trainer.task.metric.name
        self._epochs = trainer.num_epochs
        kind = trainer.task.answer_kind
        self._rate = f"{kind.counted}_per_second"
        rate = "samples/s" if kind.padding is None else f"{kind.counted}/s"
        display.line(_columns(["epoch", "loss", name, "val_loss", f"val_{name}", "ms/step", rate, "lr"]))

    def stepped(self, trainer: Trainer, rows: int) -> None:
        self._display.advance()
        if time.monotonic() - self._saved >= self._every:
            save_checkpoint(self._folder / "last", trainer)
            self._saved = time.monotonic()

    def logged(self, row: Mapping[str, Any]) -> None:
        self.file.write(json.dumps(row) + "\n")
        if row["event"] == "epoch":
            name = self._metric
            values = [f"{row[key]:.4f}" for key in ("loss", name, "val_loss", f"val_{name}")]
            rate = row.get(self._rate, row["samples_per_second"])
            speed = [f"{row['ms_per_step']:.2f}", f"{rate:.0f}", f"{row['lr']:.2e}"]
            done = f"{row['epoch'] + 1}/{self._epochs}"
            self._display.line(_columns([done, *values, *speed]) + (" best" if row["best"] else ""))
        else:
            self._display.describe(f"epoch {row['epoch'] + 1} loss {row['loss']:.4f}")

    def improved(self, trainer: Trainer) -> None:
        self._run.save_model(merged(trainer.best_model), self._folder)

    def found(self, trainer: Trainer, finding: Finding) -> None:
        self._display.findings(self._stage, [finding], self._run.recipe.waive)
        self.record(trainer)

    def record(self, trainer: Trainer) -> None:
        self._run.record(self._stage, [Finding(**one) for one in trainer.progress.findings])

    def stopping(self) -> bool:
        return bool(self.signal)


def _columns(cells: list[str]) -> str:
    """Cells right-aligned in columns as wide as the longest usual header."""
    return " ".join(f"{cell:>12}" for cell in cells)


@contextmanager
def _signals(recorder: _Recorder) -> Iterator[None]:
    """SIGINT and SIGTERM end the loop after the running step; a second one acts as it always does."""

    def note(number: int, frame: FrameType | None) -> None:
        recorder.signal = number
        signal.signal(number, before[number])

    try:
        before: dict[int, Any] = {number: signal.signal(number, note) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # not the main thread: the caller keeps its own handlers
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _finish(
    run: Run,
    task: Task,
    trainer: Trainer,
    encoded: Encoded,
    rows: Mapping[str, torch.Tensor],
    display: Display,
    started: float,
) -> Run:
    """Calibrate the best weights, evaluate them on the test split, write the report and, last, the manifest."""
    from ..evaluate import evaluate_rows
    from ..evaluate.calibrate import calibrate

    if not (run.path / "model.safetensors").is_file():
        raise BadInput(f"{run.path}: no epoch gave a {task.metric.name} to choose weights by")
    model = run.model().to(trainer.device)
    task = calibrate(run, task, model, encoded, rows["val"], display)
    evaluate_rows(run, task, model, encoded, rows["test"], "test", display)
    run.seal()
    display.line(f"done in {time.perf_counter() - started:.1f} s: {run.path}")
    return run


def _network(trainer: Trainer) -> str:
    count = sum(parameter.numel() for parameter in trainer.model.parameters())
    return f"{trainer.recipe.model.name} ({count:,} parameters)"


def _say_data(prepared: Prepared, display: Display) -> None:
    counts = ", ".join(f"{len(rows):,} {name}" for name, rows in prepared.splits.items())
    schema = prepared.task.schema
    display.line(f"{schema.origin}: {schema.task}, {counts}")
