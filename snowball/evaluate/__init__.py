"""Step 4, evaluate: metrics with intervals, a baseline beside them, the worst mistakes, and a report."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor, nn

from ..display import Display
from ..finding import BadInput, Finding, worst_first
from ..kind import Batch, Block
from ..rows import Rows
from ..storage import write_json
from ..task import Task

if TYPE_CHECKING:
    from ..collect.encode import Encoded
    from ..collect.prepare import Prepared
    from ..run import Run
    from .repeat import RepeatSection

__all__ = [
    "Evaluation",
    "Mistake",
    "Score",
    "as_array",
    "evaluate_rows",
    "evaluate_run",
    "held_out",
    "predict_rows",
    "wilson_interval",
]

MOST_OWNERS = 200  # rows of a table by speaker
MISTAKES = 24  # shown in the report
EXAMPLES = 6  # right answers that are shown beside them, of what can be played
Z95 = 1.959964  # two-sided 95 %


@dataclass(frozen=True)
class Score:
    """A metric with its 95 % interval over rows: Wilson's for shares of rows, a bootstrap's for the rest."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f}" + (f" ({self.low:.4f} to {self.high:.4f})" if math.isfinite(self.low) else "")


@dataclass(frozen=True)
class Mistake:
    """A row that was answered wrongly: where it stands, what was right and what was said."""

    where: str
    answer: str
    predicted: str
    row: int


@dataclass(frozen=True)
class Evaluation:
    """What an evaluation found, JSON-able; kept as evaluation.json."""

    data: str
    split: str
    rows: int
    metrics: dict[str, Score]
    baseline: dict[str, float]
    mistakes: list[Mistake]
    blocks: list[Block]
    findings: list[Finding] = field(default_factory=list)
    seconds: float = 0.0
    controls: dict[str, dict[str, float]] = field(default_factory=dict)
    """Metrics of the network that was trained beside it, by its name, on the same rows."""
    examples: list[Mistake] = field(default_factory=list)
    """A few rows that were answered rightly, of what can be played: a spectrogram alone convinces nobody."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def evaluate_run(
    run: Run, data: str | None = None, display: Display | None = None, repeats: RepeatSection | None = None
) -> Evaluation:
    """Evaluate a run on its own test split or on other data; writes report.html and card.md.

    Of other data that names a test split that is taken, else all rows.
    `repeats` asks for more trainings of the same recipe first, see repeat.py. A run whose training was stopped stays
    unfinished, so that it can be resumed.
    """
    from .repeat import repeat

    display = display or Display(quiet=True)
    model = run.model()
    prepared, encoded, rows = held_out(run, data, display)
    if repeats is not None and (repeats.seeds > 1 or repeats.shuffled):
        if data is not None:
            raise BadInput("seeds and shuffled train once more on the run's own data: leave other data out")
        repeat(run, prepared, encoded, model.to(encoded.device), repeats, display)
    evaluation = evaluate_rows(run, prepared.task, model.to(encoded.device), encoded, rows, "test", display)
    if run.finished:
        run.seal()
    return evaluation


def held_out(run: Run, data: str | None, display: Display) -> tuple[Prepared, Encoded, Tensor]:
    """What a run is scored on: its own data or other data, the rows on its device, and the test split's numbers."""
    from ..collect.prepare import prepare_other_data, prepare_run
    from ..training.machine import choose_device

    prepared = prepare_run(run, display) if data is None else prepare_other_data(run, data, display)
    encoded = prepared.encoded.to(choose_device(run.recipe.train.device))
    return prepared, encoded, torch.as_tensor(prepared.splits["test"], device=encoded.index_device)


def evaluate_rows(
    run: Run, task: Task, model: nn.Module, encoded: Encoded, rows: Tensor, split: str, display: Display
) -> Evaluation:
    """Score a model on encoded rows, and write evaluation.json, report.html and card.md into the run."""
    from ..training.loop import measure_rows
    from .conditions import condition_blocks
    from .report import write_report
    from .slices import weak_slices

    started = time.perf_counter()
    assert task.table is not None
    where = task.table.where
    predictions = predict_rows(task, model, encoded, rows)
    source = Rows(task, task.table, rows.tolist())
    answers = [source.answer(row) for row in source.numbers]
    scores = intervals(task, predictions, answers)
    measured = measure_rows(task, model, *_windows(task, encoded, rows))
    scores |= {name: Score(value, math.nan, math.nan) for name, value in measured.items() if name not in scores}
    swept = condition_blocks(task, model, encoded, rows, answers)
    baseline = task.constant_scores(answers)
    controls = _controls(run, task, encoded, rows, answers)
    faults = np.array([task.fault(p, a) for p, a in zip(predictions, answers, strict=True)])
    worst = [int(i) for i in np.argsort(-faults, kind="stable")[:MISTAKES] if faults[i] > 0]
    right = np.flatnonzero(faults == 0)
    heard = len(right) and task.playable(source.given(source.numbers[right[0]]))
    examples = right[:: -(-len(right) // EXAMPLES)].tolist() if heard else []

    def named(places: Sequence[int]) -> list[Mistake]:
        captions = [(task.answer_kind.caption(answers[i]), task.caption(predictions[i])) for i in places]
        numbers = [source.numbers[i] for i in places]
        return [Mistake(where(row), *caption, row) for row, caption in zip(numbers, captions, strict=True)]

    weak, slices = weak_slices(task, encoded, source.numbers, predictions, answers, faults)
    findings = worst_first([*_twin(measured, scores), *_against_others(task, scores, baseline, controls), *weak])
    evaluation = Evaluation(
        data=task.table.name,
        split=split,
        rows=len(answers),
        metrics=scores,
        baseline=baseline,
        controls=controls,
        mistakes=named(worst),
        examples=named(examples),
        blocks=[
            *swept,
            *task.blocks(predictions, answers),
            *_by_owner(task, source.numbers, predictions, answers),
            *slices,
            *run.blocks(),
        ],
        findings=findings,
        seconds=time.perf_counter() - started,
    )
    display.findings("evaluation", findings, run.recipe.waive)
    display.line(
        f"{split} ({len(answers):,} rows): " + ", ".join(f"{name} {s}" for name, s in scores.items() if name != "loss")
    )
    for name, reached in controls.items():
        display.line(f"{name}, trained beside it: " + ", ".join(f"{metric} {v:.4f}" for metric, v in reached.items()))
    run.record("evaluation", findings)
    write_json(run.path / "evaluation.json", evaluation.to_json())
    rows_shown = [(source.row(source.numbers[i]), predictions[i]) for i in (*worst, *examples)]
    shown = [task.draw(given, answer, prediction) for (given, answer), prediction in rows_shown]
    write_report(run, evaluation, shown, [task.playable(given) for (given, _), _ in rows_shown])
    return evaluation


def _by_owner(
    task: Task, rows: Sequence[int], predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
) -> list[Block]:
    """The scores of each speaker, patient or whatever owns rows; see Table.owners."""
    column = task.table.owners(task.recipe.data.group) if task.table and len(task.table.columns) > 1 else None
    if column is None or column.name in {role.column for role in task.schema.columns.values()}:
        return []
    held: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        held.setdefault(str(column.cells[row]), []).append(place)
    if not 1 < len(held) <= MOST_OWNERS:
        return []
    lines = []
    for name in sorted(held):
        scores = task.score([predictions[i] for i in held[name]], [answers[i] for i in held[name]])
        lines.append([name, len(held[name]), *(round(value, 4) for value in scores.values())])
    return [Block(f"By {column.name}", "table", {"columns": [column.name, "rows", *scores], "rows": lines})]


def _controls(
    run: Run, task: Task, encoded: Encoded, rows: Tensor, answers: Sequence[Any]
) -> dict[str, dict[str, float]]:
    control = run.control()
    if control is None:
        return {}
    return {control.name: task.score(predict_rows(task, control.network.to(encoded.device), encoded, rows), answers)}


def _windows(task: Task, encoded: Encoded, rows: Tensor) -> tuple[Encoded, Tensor]:
    from ..training.loop import training_rows

    cut, splits = training_rows(task, encoded, {"rows": rows})
    return cut, splits["rows"]


@torch.inference_mode()
def predict_rows(
    task: Task,
    model: nn.Module,
    encoded: Encoded,
    rows: Tensor,
    change: Callable[[Batch], dict[str, Tensor]] | None = None,
) -> list[dict[str, Any]]:
    """Decoded answers for encoded rows, in order; `change` gives the inputs of a batch in place of its own."""
    from ..training.epochs import evaluation_batches

    model.eval()
    predictions: dict[int, dict[str, Any]] = {}
    for batch in evaluation_batches(encoded, rows, task.recipe.train):
        outputs = task.predict(model, change(batch) if change else batch.inputs)
        answers = task.decode({name: as_array(value) for name, value in outputs.items()})
        predictions |= dict(zip(batch.index.tolist(), answers, strict=True))
    return [predictions[row] for row in rows.tolist()]


def as_array(value: Tensor) -> np.ndarray:
    """A tensor for `decode`; bfloat16, which NumPy has not, becomes float32."""
    array: np.ndarray = (value.float() if value.dtype == torch.bfloat16 else value).cpu().numpy()
    return array


def intervals(task: Task, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, Score]:
    """Every score with its 95 % interval over rows."""
    values = task.score(predictions, answers)
    num = len(answers)
    random = np.random.Generator(np.random.Philox(0))
    own = task.intervals(predictions, answers)
    drawn = []
    bootstrapped = values.keys() - own.keys() - set(task.answer_kind.proportions())
    for _ in range(int(np.clip(2_000_000 // num, 50, 500)) if bootstrapped else 0):
        rows = random.integers(num, size=num)
        drawn.append(task.score([predictions[i] for i in rows], [answers[i] for i in rows]))
    scores = {}
    for name, value in values.items():
        if name in own:
            low, high = own[name]
        elif name in task.answer_kind.proportions():
            low, high = wilson_interval(value, num)
        else:
            low, high = (float(q) for q in np.nanquantile([draw[name] for draw in drawn], [0.025, 0.975]))
        scores[name] = Score(value, low, high)
    return scores


def wilson_interval(share: float, num: int) -> tuple[float, float]:
    """The 95 % score interval of a share of `num` rows (Wilson, 1927); it stays inside 0..1 and is never empty.

    >>> [round(x, 4) for x in wilson_interval(1.0, 360)]
    [0.9894, 1.0]
    """
    spread = Z95**2 / num
    centre = (share + spread / 2) / (1 + spread)
    half = Z95 * math.sqrt(share * (1 - share) / num + spread / (4 * num)) / (1 + spread)
    return max(0.0, centre - half), min(1.0, centre + half)


def _twin(measured: Mapping[str, float], scores: Mapping[str, Score]) -> list[Finding]:
    """The same metric reached twice: summed over tensors, and computed from decoded answers."""
    return [
        Finding(
            "metric-wrong",
            "error",
            f"{name} is {measured[name]:.6f} from tensors and {score.value:.6f} from decoded answers",
            {"measure": measured[name], "score": score.value},
            "the task's measure and score contradict each other: one of them is wrong",
        )
        for name, score in scores.items()
        if name in measured and abs(measured[name] - score.value) > 1e-4 * max(1.0, abs(score.value))
    ]


def _against_others(
    task: Task, scores: Mapping[str, Score], baseline: Mapping[str, float], controls: Mapping[str, Mapping[str, float]]
) -> list[Finding]:
    """What the network is not clearly better than: its interval has to lie beyond it."""
    metric = task.headline
    score = scores[metric.name]
    bound = score.low if metric.best == "max" else score.high
    others = [("no-better-than-baseline", task.answer_kind.baseline_name, baseline[metric.name])]
    others += [
        ("no-better-than-control", f"the {name} network", reached[metric.name]) for name, reached in controls.items()
    ]
    return [
        Finding(
            check,
            "warning",
            f"{metric.name} {score} is not clearly better than {value:.4f}, which {other} reaches",
            {"value": score.value, "low": score.low, "high": score.high, "other": value},
            _FIXES[check],
        )
        for check, other, value in others
        if not metric.better(bound, value)
    ]


_FIXES = {
    "no-better-than-baseline": "train longer, look at the findings on the data, or collect more of it",
    "no-better-than-control": "what it was denied may not be needed: use the simpler network, or look for what gives"
    " the answer away",
}
