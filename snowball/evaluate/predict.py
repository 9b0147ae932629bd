"""Predict: answers for files, folders of files, bytes or arrays that a person hands over."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch

from ..finding import BadInput
from ..kind import Unreadable

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["predict_inputs"]

BATCH = 128


@torch.inference_mode()
def predict_inputs(run: Run, inputs: Sequence[Any]) -> list[dict[str, Any]]:
    """One answer an input, in order; a folder counts as its files. Each answer names its `input`."""
    task, model = run.task(), run.model()
    (role,) = task.given
    kind = task.kinds[role]
    cells = [cell for given in inputs for cell in (kind.expand(given) if isinstance(given, str) else [given])]
    if not cells:
        raise BadInput(f"nothing to predict: no {kind.key} was given")
    answers: list[dict[str, Any]] = []
    for start in range(0, len(cells), BATCH):
        encoded = [task.encode_given({role: _read(kind, cell)}) for cell in cells[start : start + BATCH]]
        batch = {name: torch.stack([row[name] for row in encoded]) for name in encoded[0]}
        outputs = task.predict(model, batch)
        answers += task.decode({name: value.float().numpy() for name, value in outputs.items()})
    return [{"input": _named(cell, i), **answer} for i, (cell, answer) in enumerate(zip(cells, answers, strict=True))]


def _read(kind: Any, cell: Any) -> Any:
    try:
        return kind.read(cell)
    except Unreadable as reason:
        raise BadInput(f"{_named(cell, 0)}: {reason}") from reason


def _named(cell: Any, position: int) -> str:
    return str(cell) if not isinstance(cell, bytes) and not hasattr(cell, "shape") else f"input {position + 1}"
