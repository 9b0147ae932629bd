"""What the conformance checks work on: a task on its sample, made and trained once."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from .collect.encode import Encoded
from .collect.prepare import Prepared, prepare
from .display import Display
from .kind import Batch
from .rows import Rows
from .run import Run
from .task import Task
from .training.loop import as_rows, training_rows
from .training.train import train

__all__ = ["ROWS", "Bench"]

ROWS = 8  # rows in the small batches of the checks


class Bench:
    """A task on its sample, a fresh network, and a run trained in a temporary folder; each made once, when needed."""

    def __init__(self, task_type: type[Task], source: str, keys: Mapping[str, Any], folder: Path) -> None:
        self.task_type = task_type
        self.source = source
        # a check of its own runs the pre-flight
        self.keys = {"train.preflight": False, **task_type.quick, **keys, "task": task_type.name}
        self.folder = folder

    @cached_property
    def prepared(self) -> Prepared:
        return prepare(self.source, self.keys, Display(quiet=True))

    @property
    def task(self) -> Task:
        return self.prepared.task

    @cached_property
    def model(self) -> nn.Module:
        torch.manual_seed(0)
        return self.task.model()

    @cached_property
    def batch(self) -> Batch:
        encoded, rows = self.training
        return encoded.batch(rows["train"][:: max(1, len(rows["train"]) // ROWS)][:ROWS])

    @cached_property
    def training(self) -> tuple[Encoded, dict[str, Tensor]]:
        """What a training steps through, and the rows of each split of it."""
        encoded = self.prepared.encoded
        return training_rows(self.task, encoded, as_rows(self.prepared.splits, encoded.index_device))

    @cached_property
    def run(self) -> Run:
        return train(self.source, self.keys, output=self.folder / "run", display=Display(quiet=True))

    @cached_property
    def onnx(self) -> Any:
        from .deploy.session import OnnxPredictor

        self.run.export(self.folder / "model.onnx")
        return OnnxPredictor(self.folder / "model.onnx")

    def rows(self, split: str = "test") -> Rows:
        assert self.task.table is not None
        return Rows(self.task, self.task.table, self.prepared.splits[split].tolist()[:ROWS])
