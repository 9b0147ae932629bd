"""The verbs as functions: the same words as the command line."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .display import Display
from .finding import Finding
from .run import Run

__all__ = ["audit", "check", "train"]

Path_ = str | os.PathLike[str]


def train(
    data: str | None = None,
    recipe: Mapping[str, Any] | None = None,
    *,
    output: Path_ | None = None,
    resume: Path_ | None = None,
    quiet: bool = False,
    **keys: Any,
) -> Run:
    """Train on `data`; returns the run.

    `recipe` holds keys with dots (`{"optim.lr": 1e-3}`), keywords hold those without (`epochs=5`).

    >>> run = train("digits", {"train.epochs": 1}, output="runs/one")  # doctest: +SKIP
    """
    from .training.train import train as train_data

    return train_data(
        None if data is None else str(data),
        {**(recipe or {}), **keys},
        output=None if output is None else Path(output),
        resume=None if resume is None else Path(resume),
        display=Display(quiet=quiet),
    )


def audit(data: str, recipe: Mapping[str, Any] | None = None, **keys: Any) -> list[Finding]:
    """What is wrong with the data, worst first."""
    from .collect.prepare import audit_prepared, prepare

    return audit_prepared(prepare(str(data), {**(recipe or {}), **keys}, Display(quiet=True)))


def check(data: str, recipe: Mapping[str, Any] | None = None, **keys: Any) -> list[Finding]:
    """What the audit and the pre-flight find that training on `data` would begin with."""
    from .training.train import check_data

    return check_data(str(data), {**(recipe or {}), **keys}, Display(quiet=True))
