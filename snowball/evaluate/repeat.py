"""Repeat: the same recipe trained once more, from other seeds, and on shuffled answers. Asked for: it costs trainings.

Seeds say how much of a score is luck of the draw. A network that learned shuffled answers knows nothing of the right
ones: where it does well all the same, the answer reaches it by a way that it will not have in use.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field
from torch import nn

from ..display import Display
from ..finding import BadInput, Finding, GateFailed
from ..kind import Block, Metric
from ..recipe import Section
from ..rows import Rows
from ..training.again import train_again
from . import Score, intervals, predict_rows

if TYPE_CHECKING:
    from ..collect.encode import Encoded
    from ..collect.prepare import Prepared
    from ..run import Run

__all__ = ["RepeatSection", "judge_seeds", "judge_shuffled", "repeat"]

DEALS = 100  # times that predictions are dealt to other rows
CARRIED = 0.5  # of what the run's own network gained: what shuffled answers may not reach


class RepeatSection(Section):
    """Trainings that an evaluation does once more."""

    key = "repeat"

    seeds: int = Field(1, ge=1, le=100)
    """Seeds that are compared: the run's own, and the next ones after it."""
    shuffled: int = Field(0, ge=0, le=100)
    """Trainings on shuffled answers."""


def repeat(
    run: Run, prepared: Prepared, encoded: Encoded, model: nn.Module, asked: RepeatSection, display: Display
) -> None:
    """Train again as asked, and keep findings and a table for the report in the run."""
    from ..training.loop import as_rows

    task, metric = prepared.task, prepared.task.headline
    if asked.shuffled and task.answer_role in task.given:
        raise BadInput(
            f"shuffled={asked.shuffled}: what {task.name} is given and its answer are one: nothing to shuffle"
        )
    splits = as_rows(prepared.splits, encoded.index_device)
    source = Rows(task, prepared.table, prepared.splits["test"].tolist())
    answers = [source.answer(row) for row in source.numbers]

    def predicted(network: nn.Module) -> list[dict[str, Any]]:
        return predict_rows(task, network, encoded, splits["test"])

    def score(predictions: Sequence[Mapping[str, Any]]) -> float:
        return task.score(predictions, answers)[metric.name]

    own = predicted(model)
    reached = intervals(task, own, answers)[metric.name]
    seed = task.recipe.train.seed
    table: list[list[Any]] = [[f"this run, seed {seed}", round(reached.value, 4)]]
    by_seed = {seed: reached.value}
    for other in range(seed + 1, seed + asked.seeds):
        by_seed[other] = score(predicted(train_again(task, encoded, splits, other)))
        display.line(f"seed {other}: {metric.name} {by_seed[other]:.4f}")
        table.append([f"seed {other}", round(by_seed[other], 4)])
    found = judge_seeds(metric, list(by_seed.values()), reached) if asked.seeds > 1 else []
    if asked.seeds > 1:
        mean, half = mean_interval(list(by_seed.values()))
        table.append([f"mean of {asked.seeds} seeds, {mean - half:.4f} to {mean + half:.4f} (95 %)", round(mean, 4)])
        display.line(f"{asked.seeds} seeds: {metric.name} {mean:.4f} ± {half:.4f} (95 %)")
    shuffled: list[float] = []
    for number in range(asked.shuffled):
        try:
            network = train_again(task, encoded, splits, seed + number, shuffled=True)
        except GateFailed as error:  # an answer that fits no more, such as a text longer than its sound, loses infinity
            message = f"answers dealt to other rows cannot be trained on: {error}"
            found.append(Finding("repeats-abstained", "note", message))
            break
        shuffled.append(score(predicted(network)))
        display.line(f"shuffled answers, {number + 1} of {asked.shuffled}: {metric.name} {shuffled[-1]:.4f}")
        table.append([f"shuffled answers {number + 1}", round(shuffled[-1], 4)])
    if shuffled:
        random = np.random.Generator(np.random.Philox(0))
        dealt = float(np.mean([score([own[i] for i in random.permutation(len(own))]) for _ in range(DEALS)]))
        constant = task.constant_scores(answers)[metric.name]
        table.append(["this run's predictions, dealt to other rows", round(dealt, 4)])
        table.append([task.answer_kind.baseline_name, round(constant, 4)])
        found += judge_shuffled(metric, reached, shuffled, dealt, constant)
    display.findings("repeats", found, run.recipe.waive)
    run.record("repeats", found)
    note = "each is a training of its own with the same recipe and the same rows in each split"
    run.record_blocks(
        "repeats", [Block("Repeated trainings", "table", {"columns": ["training", metric.name], "rows": table}, note)]
    )


def mean_interval(values: Sequence[float]) -> tuple[float, float]:
    """Mean, and half the width of its 95 % interval (Student, 1908).

    >>> [round(x, 3) for x in mean_interval([0.90, 0.92, 0.94])]
    [0.92, 0.05]
    """
    from scipy.stats import t

    num = len(values)
    return float(np.mean(values)), float(t.ppf(0.975, num - 1) * np.std(values, ddof=1) / math.sqrt(num))


def judge_seeds(metric: Metric, values: Sequence[float], reached: Score) -> list[Finding]:
    """A note where seeds differ by more than the interval that is reported, which is over rows alone."""
    spread, width = max(values) - min(values), reached.high - reached.low
    if not spread > width:
        return []
    message = (
        f"{metric.name} is {min(values):.4f} to {max(values):.4f} over {len(values)} seeds, which is wider than its"
        f" interval over rows, {reached.low:.4f} to {reached.high:.4f}"
    )
    fix = "report the mean over seeds, and compare recipes over several"
    return [Finding("seed-sensitivity", "note", message, {"values": list(values), "interval": width}, fix)]


def judge_shuffled(
    metric: Metric, reached: Score, shuffled: Sequence[float], dealt: float, constant: float
) -> list[Finding]:
    """An error where networks that learned shuffled answers keep most of what the run's own gained.

    What it gained is counted from its own predictions dealt to other rows, `dealt`: what the answers' mere frequencies
    give. They can give more than one `constant` answer does, where an answer has many parts.
    """
    bound = reached.low if metric.best == "max" else reached.high
    floor = constant if metric.better(constant, dealt) else dealt
    if not metric.better(bound, floor):
        message = f"{metric.name} {reached} is no better than chance, so that shuffled answers say nothing"
        return [Finding("repeats-abstained", "note", message, {"chance": floor})]
    kept = float(np.mean([(value - floor) / (reached.value - floor) for value in shuffled]))
    if kept <= CARRIED:
        return []
    message = (
        f"trained on shuffled answers, the network still reaches {metric.name} {float(np.mean(shuffled)):.4f} on"
        f" held-out rows; {floor:.4f} is what chance gives, and {reached.value:.4f} what right answers do"
    )
    evidence = {"shuffled": list(shuffled), "right": reached.value, "dealt": dealt, "constant": constant, "kept": kept}
    fix = "find how the answer gets into the inputs, or into what is scored"
    return [Finding("target-leak", "error", message, evidence, fix)]
