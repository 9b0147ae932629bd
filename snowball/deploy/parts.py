"""A network in parts: what a task that answers step by step calls, each part exported as a graph of its own.

Which dimensions vary is seen from real calls: sizes that are equal in all of them are one symbol, sizes that never
change are constants.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn

from ..task import Task

__all__ = ["PartModule", "Recorder", "export_arguments", "output_name"]

STREAMED = 3  # pieces of a stream that are recorded: the first reads the prompt, the others go on
SIZES = (2, 3, 5, 7, 11, 13, 17, 19, 23, 29)  # of the symbols in an example: none is 0 or 1, which would be constants

Call = tuple[dict[str, Tensor], dict[str, Tensor]]


class Recorder:
    """Stands for the network in `predict` and `stream`, and keeps the tensors of every call of a part."""

    def __init__(self, task: Task, model: nn.Module) -> None:
        self.calls: dict[str, list[Call]] = {name: [] for name in task.parts}
        self._model = model

    def __getattr__(self, name: str) -> Callable[..., dict[str, Tensor]]:
        if name not in self.calls:
            raise AttributeError(f"{name} is not among the task's parts {', '.join(self.calls)}")

        def call(**inputs: Tensor) -> dict[str, Tensor]:
            outputs: dict[str, Tensor] = getattr(self._model, name)(**inputs)
            self.calls[name].append((inputs, outputs))
            return outputs

        return call

    @torch.no_grad()
    def record(self, task: Task, rows: Sequence[Mapping[str, Any]]) -> None:
        """Answer a part of the first row alone and all rows, two at least; stream the answer to the last one.

        So the number of rows and their lengths vary, whatever rows there are: what does not would be a constant.
        """
        encoded = [task.encode_given(row) for row in rows]
        first = {
            role: _other_length(t) if task.kinds[role].padding is not None else t for role, t in encoded[0].items()
        }
        for part in ([first], encoded if len(encoded) > 1 else encoded * 2):
            batch = {role: task.kinds[role].collate([row[role] for row in part]) for role in task.given}
            task.predict(self, batch)
        if task.streams:
            list(islice(task.stream(self, rows[-1]), STREAMED))


def _other_length(row: Tensor) -> Tensor:
    return row[: len(row) // 2] if len(row) > 1 else row.repeat(2)


class PartModule(nn.Module):
    """One part as a module: named tensors in, a dict of tensors out."""

    def __init__(self, model: nn.Module, name: str) -> None:
        super().__init__()
        self.model, self._name = model, name

    def forward(self, **inputs: Tensor) -> dict[str, Tensor]:
        outputs: dict[str, Tensor] = getattr(self.model, self._name)(**inputs)
        return outputs


def output_name(name: str, inputs: Sequence[str]) -> str:
    """A graph's values have different names: what goes in as `cache` comes out as `next_cache`."""
    return f"next_{name}" if name in inputs else name


def export_arguments(calls: Sequence[Call]) -> tuple[dict[str, Tensor], dict[str, dict[int, Any]]]:
    """Example tensors for a part, and which of their dimensions vary."""
    first = calls[0][0]
    sizes: dict[tuple[int, ...], int] = {}  # the sizes a dimension had over all calls -> its size in the example
    example: dict[str, Tensor] = {}
    dynamic: dict[str, dict[int, Any]] = {}
    for name, tensor in first.items():
        shape = []
        dynamic[name] = {}
        for axis in range(tensor.dim()):
            seen = tuple(inputs[name].shape[axis] for inputs, _ in calls)
            if len(set(seen)) == 1:
                shape.append(seen[0])
                continue
            shape.append(sizes.setdefault(seen, SIZES[len(sizes)]))
            dynamic[name][axis] = torch.export.Dim.DYNAMIC
        fill = torch.ones if tensor.dtype == torch.bool else torch.zeros
        example[name] = fill(shape, dtype=tensor.dtype)
    return example, dynamic
