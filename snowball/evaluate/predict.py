"""Predict: answers for files, folders of files, films, texts, bytes or arrays that a person hands over."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ..finding import BadInput
from ..kind import Kind, Named, Unreadable
from ..task import Task
from . import as_array

if TYPE_CHECKING:
    from ..run import Run

__all__ = ["input_name", "predict_each", "read_inputs"]

LONG = 200  # characters of an input that name it in an answer


@torch.inference_mode()
def predict_each(
    run: Run,
    inputs: Sequence[Any],
    options: Mapping[str, Any] | None = None,
    streamed: Callable[[str], None] = lambda piece: None,
    pictures: Path | None = None,
) -> Iterator[dict[str, Any]]:
    """One answer an input, in order, as they come; a folder counts as its files. Each answer names its `input`.

    What is asked for pictures may be given a film, which counts as its frames, or the number of a camera.

    `options` are the task's own, such as how many tokens. Of a task that streams, an answer also holds what was
    written as `text`; `streamed` is told what was given, and each piece that follows. `pictures` is a folder for a
    picture of each input with its answer drawn in, where the task draws pictures.
    """
    task, model = run.task(options), run.model()
    (role,) = task.asked()
    kind = task.kinds[role]
    taken: set[str] = set()
    position = 0
    for cells, values in read_inputs(task, inputs):
        encoded = [task.encode_given(given) for given in values]
        batch = {name: task.kinds[name].collate([row[name] for row in encoded]) for name in encoded[0]}
        outputs = task.predict(model, batch)
        found = task.decode({name: as_array(value) for name, value in outputs.items()})
        for cell, given, answer in zip(cells, values, found, strict=True):
            name = input_name(cell, position)
            position += 1
            if pictures is not None:
                _draw(task, pictures, _file_name(cell, position, taken), given, answer)
            answer = {"input": name, **task.present(answer, given)}
            if notes := task.notes(given):
                answer["notes"] = notes
            if task.streams:
                streamed(str(given[role]))
                pieces = []
                for piece in task.stream(model, given):
                    pieces.append(piece)
                    streamed(piece)
                answer["text"] = "".join(pieces)
            yield answer
    if not position:
        raise BadInput(f"nothing to predict: no {kind.key} was given")


def read_inputs(task: Task, inputs: Sequence[Any]) -> Iterator[tuple[list[Any], list[dict[str, Any]]]]:
    """The cells that inputs stand for and their raw values by role, many at once. Raises BadInput, naming the input."""
    (role,) = task.asked()
    position = 0
    for cells in _batches(task.kinds[role], inputs):
        yield cells, [_read(task, role, cell, position + i) for i, cell in enumerate(cells)]
        position += len(cells)


def _batches(kind: Kind, inputs: Sequence[Any]) -> Iterator[list[Any]]:
    """The cells that the inputs stand for, many at once; what comes one after another, as from a camera, one by one."""
    waiting: list[Any] = []
    for given in inputs:
        expanded: Iterable[Any] = kind.expand(given) if isinstance(given, str) else [given]
        if isinstance(expanded, list):
            waiting += expanded
            while len(waiting) >= kind.held_rows:
                yield waiting[: kind.held_rows]
                waiting = waiting[kind.held_rows :]
            continue
        if waiting:
            yield waiting
            waiting = []
        frames = iter(expanded)
        try:
            while one := list(islice(frames, 1)):
                yield one
        except Unreadable as reason:
            raise BadInput(f"{input_name(given, 0)!r}: {reason}") from reason
    if waiting:
        yield waiting


def _draw(task: Task, folder: Path, name: str, given: dict[str, Any], answer: dict[str, Any]) -> None:
    """A JPEG of a row with its answer."""
    folder.mkdir(parents=True, exist_ok=True)
    drawn = task.draw(given, None, answer)
    if isinstance(drawn, str):
        raise BadInput(f"-o {folder}: {task.name} draws no pictures; name a file that ends in .jsonl")
    drawn.convert("RGB").save(folder / f"{name}.jpg", quality=92)


def _file_name(cell: Any, number: int, taken: set[str]) -> str:
    """What the picture of an answer is called: as the input's file, or its number; a second one of a name says so."""
    if isinstance(cell, Named):
        stem = re.sub(r"[^\w.-]+", "_", Path(cell.name).name)
    else:
        stem = Path(cell).stem if isinstance(cell, str) else f"{number:06d}"
    name, more = stem, 1
    while name in taken:
        more += 1
        name = f"{stem}_{more}"
    taken.add(name)
    return name


def _read(task: Task, role: str, cell: Any, position: int) -> dict[str, Any]:
    try:
        return task.read_given({role: cell.cell if isinstance(cell, Named) else cell})
    except Unreadable as reason:
        raise BadInput(f"{input_name(cell, position)!r}: {reason}") from reason


def input_name(cell: Any, position: int) -> str:
    """What an input is called: itself where it is short, or its place among the inputs."""
    if isinstance(cell, bytes) or hasattr(cell, "shape"):
        return f"input {position + 1}"
    text = cell.name if isinstance(cell, Named) else str(cell)
    return text if len(text) <= LONG else f"{text[:LONG]}…"
