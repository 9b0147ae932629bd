"""Predict: answers for files, folders of files, texts, bytes or arrays that a person hands over."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..finding import BadInput
from ..kind import Unreadable
from ..task import Task
from . import as_array

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["predict_inputs"]

LONG = 200  # characters of an input that name it in an answer


@torch.inference_mode()
def predict_inputs(
    run: Run,
    inputs: Sequence[Any],
    options: Mapping[str, Any] | None = None,
    streamed: Callable[[str], None] = lambda piece: None,
    pictures: Path | None = None,
) -> list[dict[str, Any]]:
    """One answer an input, in order; a folder counts as its files. Each answer names its `input`.

    `options` are the task's own, such as how many tokens. Of a task that streams, an answer also holds what was
    written as `text`; `streamed` is told what was given, and each piece that follows. `pictures` is a folder for a
    picture of each input with its answer drawn in, where the task draws pictures.
    """
    task, model = run.task(options), run.model()
    (role,) = task.given
    kind = task.kinds[role]
    cells = [cell for given in inputs for cell in (kind.expand(given) if isinstance(given, str) else [given])]
    if not cells:
        raise BadInput(f"nothing to predict: no {kind.key} was given")
    answers: list[dict[str, Any]] = []
    for start in range(0, len(cells), kind.held_rows):
        values = [_read(kind, cell) for cell in cells[start : start + kind.held_rows]]
        encoded = [task.encode_given({role: value}) for value in values]
        batch = {name: task.kinds[name].collate([row[name] for row in encoded]) for name in encoded[0]}
        outputs = task.predict(model, batch)
        found = task.decode({name: as_array(value) for name, value in outputs.items()})
        if pictures is not None:
            _draw(task, pictures, [({role: value}, answer) for value, answer in zip(values, found, strict=True)], start)
        found = [task.present(answer, {role: value}) for value, answer in zip(values, found, strict=True)]
        for value, answer in zip(values, found, strict=True):
            if notes := task.notes({role: value}):
                answer["notes"] = notes
            if task.streams:
                pieces = []
                streamed(str(value))
                for piece in task.stream(model, {role: value}):
                    pieces.append(piece)
                    streamed(piece)
                answer["text"] = "".join(pieces)
        answers += found
    return [{"input": _named(cell, i), **answer} for i, (cell, answer) in enumerate(zip(cells, answers, strict=True))]


def _draw(task: Task, folder: Path, rows: Sequence[tuple[dict[str, Any], dict[str, Any]]], start: int) -> None:
    """A JPEG of each row with its answer, called as the input's file, or numbered."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, (given, answer) in enumerate(rows, start=start + 1):
        drawn = task.draw(given, None, answer)
        if isinstance(drawn, str):
            raise BadInput(f"-o {folder}: {task.name} draws no pictures; name a file that ends in .jsonl")
        drawn.convert("RGB").save(folder / f"{number:06d}.jpg", quality=92)


def _read(kind: Any, cell: Any) -> Any:
    try:
        return kind.read(cell)
    except Unreadable as reason:
        raise BadInput(f"{_named(cell, 0)!r}: {reason}") from reason


def _named(cell: Any, position: int) -> str:
    if isinstance(cell, bytes) or hasattr(cell, "shape"):
        return f"input {position + 1}"
    text = str(cell)
    return text if len(text) <= LONG else f"{text[:LONG]}…"
