"""Shrink: a run whose weights take fewer bits, and what that costs on rows it never saw.

Nothing is trained, and no calibration data is needed: weights are rounded, and what a network makes of an input stays
in float32. So any network of any task can be shrunk; its file is smaller, and it answers as fast as before.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ..display import Display
from ..evaluate import Score, as_array, evaluate_rows, held_out, intervals, predict_rows
from ..finding import BadInput, Finding
from ..kind import Metric
from ..recipe import Section
from ..run import CONTROL, Run
from ..storage import read_json, write_bytes
from ..weights import Form, write_weights
from .export import MadeUp

__all__ = ["ShrinkSection", "Shrunk", "shrink_run"]

# What a smaller run takes over from the one that it is made of.
KEPT = ("metrics.jsonl", "findings.json", "blocks.json", f"{CONTROL}/model.safetensors")


class ShrinkSection(Section):
    """How a run is made smaller."""

    key = "shrink"

    quantize: Form = "int8"
    """`int8`: matrices and kernels take a quarter; `float16`: all parameters take half."""
    data: str | None = None
    """What both are evaluated on. Default: the run's own test rows; a run that knows none answers made up ones."""


@dataclass(frozen=True)
class Shrunk:
    """What became of a run: bytes of weights, and metrics on the same rows, before and after; none of made up ones."""

    run: str
    bytes_before: int
    bytes_after: int
    rows: int
    metrics_before: dict[str, float]
    metrics: dict[str, float]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def shrink_run(
    run: Run, section: ShrinkSection | None = None, path: Path | None = None, display: Display | None = None
) -> tuple[Run, Shrunk]:
    """Make a smaller run of a run, and compare them; what it costs is in the new run's findings.

    Raises BadInput where the new folder exists, or the run is smaller already.
    """
    section, display = section or ShrinkSection(), display or Display(quiet=True)
    source = run.path / "model.safetensors"
    model = run.model()
    environment = run.path / "environment.json"
    path = path or run.path.with_name(f"{run.path.name}-{section.quantize}")
    made = Run.create(path, run.recipe, run.schema, read_json(environment) if environment.is_file() else {})
    try:
        for name in KEPT:
            if (run.path / name).is_file():
                (path / name).parent.mkdir(exist_ok=True)
                write_bytes(path / name, (run.path / name).read_bytes())
        parameters = {name for name, _ in model.named_parameters(remove_duplicate=False)}
        write_weights(path / "model.safetensors", model.state_dict(), section.quantize, parameters)
        before, after = (file.stat().st_size for file in (source, path / "model.safetensors"))
        if after >= before:
            raise BadInput(f"{run.path}: {section.quantize} makes {after:,} bytes of weights of {before:,}")
        rows, scores, findings = _compare(run, made, model, section.data, display)
    except BaseException:
        shutil.rmtree(path)  # its own: it did not exist before
        raise
    made.record("shrink", findings)
    made.seal()
    display.findings("shrink", findings)
    display.line(f"{path}: {after:,} bytes of weights, {after / before:.0%} of {before:,}")
    return made, Shrunk(str(path), before, after, rows, *scores)


def _compare(
    run: Run, made: Run, old: nn.Module, data: str | None, display: Display
) -> tuple[int, list[dict[str, float]], list[Finding]]:
    """How many rows both answered, the metrics of each, and what is to be said."""
    new = made.model()
    if data is None and not run.has_data:
        given = MadeUp(run.task())
        return len(given), [{}, {}], [_apart(given, old, new)]
    prepared, encoded, rows = held_out(run, data, display)
    task, old, new = prepared.task, old.to(encoded.device), new.to(encoded.device)
    source = task.data("test")
    answers = [source.answer(row) for row in source.numbers]
    before = intervals(task, predict_rows(task, old, encoded, rows), answers)
    after = evaluate_rows(made, task, new, encoded, rows, "test", display).metrics
    values = [{name: score.value for name, score in scores.items()} for scores in (before, after)]
    return len(rows), values, [_cost(task.headline, before, after)]


def _apart(given: MadeUp, old: nn.Module, new: nn.Module) -> Finding:
    """How far the outputs of a run without data are from what they were, on inputs that nobody recorded."""
    task = given.task
    encoded = [task.encode_given(given.given(row)) for row in given.numbers]
    with torch.inference_mode():
        batch = {role: task.kinds[role].collate([row[role] for row in encoded]) for role in encoded[0]}
        outputs = [{k: as_array(v) for k, v in task.predict(network, batch).items()} for network in (old, new)]
    apart = task.answer_kind.difference(*outputs)
    message = (
        f"the run knows no data: on {len(given)} made up inputs outputs are up to {apart:.2g} of the largest apart"
    )
    fix = "data=DATA says what that costs"
    return Finding("shrink-untested", "warning", message, {"difference": apart, "rows": len(given)}, fix)


def _cost(metric: Metric, before: Mapping[str, Score], after: Mapping[str, Score]) -> Finding:
    """An error where the metric leaves the interval that it had."""
    old, new = before[metric.name], after[metric.name]
    evidence = {"before": old.value, "low": old.low, "high": old.high, "after": new.value}
    message = f"{metric.name} is {new.value:.4f}; before it was {old}"
    if metric.better(old.low if metric.best == "max" else old.high, new.value):
        return Finding("shrink-worse", "error", message, evidence, "take quantize=float16, or train a smaller network")
    return Finding("shrunk", "note", message, evidence)
