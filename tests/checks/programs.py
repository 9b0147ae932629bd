"""Digits by a small network, for the checks to look at: healthy as it stands."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from snowball.checks.lab import Lab
from snowball.checks.program import Program
from snowball.finding import Finding

DATA = load_digits()
X = torch.tensor(DATA.data, dtype=torch.float32) / 16
Y = torch.tensor(DATA.target)
TRAIN, VAL = slice(0, 600), slice(600, 900)


def mlp() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 10))


def loader(x: Any, y: Any, size: int = 50, **keys: Any) -> DataLoader[Any]:
    return DataLoader(TensorDataset(x, y), size, **{"shuffle": True, **keys})


def program(model: nn.Module | None = None, x: torch.Tensor = X, **changes: Any) -> dict[str, Any]:
    """The parts of the program, with changes."""
    model = model or mlp()
    parts: dict[str, Any] = {
        "model": model,
        "loss": F.cross_entropy,
        "train": loader(x[TRAIN], Y[TRAIN]),
        "val": loader(x[VAL], Y[VAL], 64, shuffle=False),
        "optimizer": torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 5e-3),
        "epochs": 4,
    }
    return {**parts, **changes}


def found(check: Callable[[Lab], Iterator[Finding]], parts: dict[str, Any]) -> list[tuple[str, str]]:
    """Name and severity of what a check finds."""
    return [(finding.check, finding.severity) for finding in check(Lab(Program.of(parts)))]


def errors(check: Callable[[Lab], Iterator[Finding]], parts: dict[str, Any]) -> list[str]:
    return [name for name, severity in found(check, parts) if severity == "error"]
