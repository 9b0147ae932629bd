"""Trainings for tests: a listener that keeps what it is told, and small data for the loop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from snowball.collect.prepare import Prepared, prepare
from snowball.display import Display
from snowball.finding import Finding
from snowball.training.loop import Trainer


class Silent:
    """A listener that stops after so many steps and keeps what it is told."""

    def __init__(self, steps: int = 10**9) -> None:
        self.left = steps
        self.rows: list[Mapping[str, Any]] = []
        self.improvements = 0
        self.findings: list[Finding] = []

    def stepped(self, trainer: Trainer, rows: int) -> None:
        self.left -= 1

    def logged(self, row: Mapping[str, Any]) -> None:
        self.rows.append(row)

    def found(self, trainer: Trainer, finding: Finding) -> None:
        self.findings.append(finding)

    def improved(self, trainer: Trainer) -> None:
        self.improvements += 1

    def stopping(self) -> bool:
        return self.left <= 0


def prepared(**keys: Any) -> Prepared:
    values = {"model": "mlp", "augment": "none", "epochs": 2, "schedule": "constant", "train.batch_size": 50, **keys}
    return prepare("digits", values, Display(quiet=True))
