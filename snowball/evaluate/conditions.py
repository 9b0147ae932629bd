"""Score held-out rows once more under a task's conditions, such as noise, as one plot."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from ..comparison import Condition
from ..kind import Batch, Block
from ..rng import SampleRandom, mix
from ..task import Task

if TYPE_CHECKING:
    from ..collect.encode import Encoded

__all__ = ["condition_blocks"]

ROWS = 300  # that are scored under each condition, evenly spread


def condition_blocks(
    task: Task, model: nn.Module, encoded: Encoded, rows: Tensor, answers: Sequence[Any]
) -> list[Block]:
    """A line for each group, over the conditions' x; nothing where the task has none.

    What a condition draws hangs on (seed, row) alone, so that the same rows are scored the same at any time.
    """
    from . import predict_rows

    conditions = task.conditions()
    if not conditions:
        return []
    step = -(-len(rows) // ROWS)
    rows, answers = rows[::step], answers[::step]
    name, seed = task.headline.name, mix(task.recipe.train.seed, 3)
    xs = sorted({condition.x for condition in conditions if condition.x is not None}, reverse=True)
    series: dict[str, list[float | None]] = {condition.group: [None] * len(xs) for condition in conditions}
    for condition in conditions:
        predictions = predict_rows(task, model, encoded, rows, _changed(condition, seed))
        value = round(task.score(predictions, answers)[name], 4)
        places = range(len(xs)) if condition.x is None else [xs.index(condition.x)]
        for place in places:
            series[condition.group][place] = value
    content = {"x": xs, "series": series, "x_label": task.conditions_label, "y_label": name}
    return [Block(f"{name} under conditions", "lines", content, f"{task.conditions_note}; {len(rows)} rows")]


def _changed(condition: Condition, seed: int) -> Callable[[Batch], dict[str, Tensor]]:
    return lambda batch: condition.change(batch.inputs, SampleRandom(seed, 0, batch.index))
