"""Calibration: one temperature that makes a classifier's confidences say how often it is right.

N rows, C classes. After Guo et al., 2017, "On Calibration of Modern Neural Networks": logits are divided by one number,
which changes no answer. It is fitted on validation rows alone, and kept only where these rows show that it helps.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..answer import TEMPERATURE
from ..calibration import expected_calibration_error
from ..display import Display
from ..kind import Block
from ..task import Task

if TYPE_CHECKING:
    from ..collect.encode import Encoded
    from ..run import Run

__all__ = ["Calibration", "calibrate", "fit_temperature"]

LEAST_ROWS = 50  # validation rows; fewer say nothing about 15 bins of confidence
RANGE = (0.05, 20.0)  # temperatures that are looked at: beyond it all answers are certain, or none
DRAWS = 1000


@dataclass(frozen=True)
class Calibration:
    """What a temperature does to the validation rows, and whether that is more than chance."""

    temperature: float
    num_wrong: int
    """Rows that are answered wrongly. Where there is none, the surer the better: there is no best temperature."""
    nll: tuple[float, float]
    """Mean -log p of the right class, without and with it."""
    ece: tuple[float, float]
    gain: tuple[float, float]
    """95 % interval of what it takes off the nll, over rows drawn with replacement."""

    @property
    def helps(self) -> bool:
        return self.num_wrong > 0 and self.gain[0] > 0 and self.ece[1] < self.ece[0]


def fit_temperature(logits: np.ndarray, classes: np.ndarray) -> Calibration:
    """The temperature with the least nll for logits (N, C) and right classes (N,).

    >>> rows = np.random.default_rng(0)
    >>> logits = rows.normal(size=(500, 3)) * 2
    >>> shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    >>> classes = (rows.random((500, 1)) > shares.cumsum(1)).sum(1)  # drawn by what the logits say
    >>> fitted = fit_temperature(logits * 3, classes)  # from logits that are three times too sure
    >>> round(fitted.temperature), fitted.helps, fit_temperature(logits, classes).helps
    (3, True, False)
    """
    from scipy.optimize import minimize_scalar

    logits = logits.astype(np.float64)

    def mean(log_temperature: float) -> float:
        return float(_nll(logits / math.exp(log_temperature), classes).mean())

    fitted = minimize_scalar(mean, bounds=(math.log(RANGE[0]), math.log(RANGE[1])), method="bounded")
    temperature = math.exp(float(fitted.x))
    before, after = _nll(logits, classes), _nll(logits / temperature, classes)  # (N,) each
    random = np.random.Generator(np.random.Philox(0))
    gained = before - after
    draws = [float(gained[random.integers(len(gained), size=len(gained))].mean()) for _ in range(DRAWS)]
    low, high = (float(q) for q in np.quantile(draws, [0.025, 0.975]))
    return Calibration(
        temperature,
        int((logits.argmax(1) != classes).sum()),
        (float(before.mean()), float(after.mean())),
        (_ece(logits, classes), _ece(logits / temperature, classes)),
        (low, high),
    )


def _nll(logits: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """(N,) -log p of the right classes."""
    top = logits.max(1)
    whole = top + np.log(np.exp(logits - top[:, None]).sum(1))
    found: np.ndarray = whole - logits[np.arange(len(logits)), classes]
    return found


def _ece(logits: np.ndarray, classes: np.ndarray) -> float:
    shares = np.exp(logits - logits.max(1, keepdims=True))
    return expected_calibration_error(shares.max(1) / shares.sum(1), logits.argmax(1) == classes)


def calibrate(run: Run, task: Task, model: nn.Module, encoded: Encoded, rows: Tensor, display: Display) -> Task:
    """Fit a temperature on validation rows and keep it in the run's schema where it helps; the task that has it.

    The same task where its answers are not of classes, or the rows do not show that it helps.
    """
    if task.answer_kind.classes is None or len(rows) < LEAST_ROWS:
        return task
    found = _logits(task, model, encoded, rows)
    fitted = fit_temperature(*found)
    run.record_blocks("calibration", [_block(fitted, len(found[1]))])
    said = f"temperature {fitted.temperature:.3f}: nll {fitted.nll[0]:.4f} to {fitted.nll[1]:.4f}"
    said += f", ece {fitted.ece[0]:.4f} to {fitted.ece[1]:.4f} on {len(found[1]):,} validation rows"
    display.line(f"calibration: {said}" + ("" if fitted.helps else "; no clear gain, so it is not used"))
    if not fitted.helps:
        return task
    role, columns = task.answer_role, task.schema.columns
    state: dict[str, Any] = {**columns[role].state, TEMPERATURE: fitted.temperature}
    run.keep_schema(replace(task.schema, columns={**columns, role: replace(columns[role], state=state)}))
    calibrated = type(task)(task.recipe, run.schema, task.table, task.options)
    calibrated.rows_by_split = task.rows_by_split
    return calibrated


@torch.inference_mode()
def _logits(task: Task, model: nn.Module, encoded: Encoded, rows: Tensor) -> tuple[np.ndarray, np.ndarray]:
    """(N, C) logits and the (N,) right classes."""
    from ..training.epochs import evaluation_batches

    model.eval()
    parts = []
    for batch in evaluation_batches(encoded, rows, task.recipe.train):
        part = task.forward(model, batch)["logits"], batch.targets[task.answer_role]
        parts.append([tensor.float().cpu().numpy() for tensor in part])
    return np.concatenate([logits for logits, _ in parts]), np.concatenate([right for _, right in parts]).astype(int)


def _block(fitted: Calibration, num_rows: int) -> Block:
    rows = [
        [name, round(before, 5), round(after, 5)]
        for name, (before, after) in {"nll": fitted.nll, "ece": fitted.ece}.items()
    ]
    columns = ["on validation rows", "as trained", f"temperature {fitted.temperature:.3f}"]
    note = "kept: predict, serve and export use it" if fitted.helps else "not kept: its gain may be chance"
    low, high = fitted.gain
    note = f"{note}; it takes {low:.5f} to {high:.5f} off the nll (95 %, {num_rows:,} rows)"
    return Block("Temperature", "table", {"columns": columns, "rows": rows}, note)
