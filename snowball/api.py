"""The verbs as functions: the same words as the command line."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .display import Display
from .finding import Finding
from .run import Run

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer

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
    """What is wrong with the data, worst first; `labels=True` trains networks that look for wrong labels too."""
    from .training.audit import audit_data

    return audit_data(str(data), {**(recipe or {}), **keys}, Display(quiet=True))[1]


def check(
    subject: str | nn.Module | Mapping[str, Any] | Callable[[], Mapping[str, Any]],
    loss: Callable[[Any, Any], Tensor] | None = None,
    train: Iterable[Any] | None = None,
    val: Iterable[Any] | None = None,
    optimizer: Optimizer | None = None,
    *,
    recipe: Mapping[str, Any] | None = None,
    **keys: Any,
) -> list[Finding]:
    """What would go wrong in a training, worst first.

    `subject` is data, as in `check("digits", epochs=5)`: what the audit and the pre-flight of such a training find. Or
    it is a program that Snowball did not write: a model with its loss and loaders, what a `setup()` returns, that
    function itself, or `"FILE.py:setup"`; `snowball.checks.KEYS` says what there may be, and what is given beside it
    is one of its parts too. A program's weights, optimiser and random states are afterwards as they were.

    >>> check(model, loss, train_loader, val_loader, optimizer, epochs=5)  # doctest: +SKIP
    """
    if isinstance(subject, str | os.PathLike):
        from .checks.source import is_program, load_program

        if not is_program(str(subject)):
            from .training.train import check_data

            return check_data(str(subject), {**(recipe or {}), **keys}, Display(quiet=True))
        parts = load_program(str(subject))
    else:
        from torch import nn

        given = subject if isinstance(subject, nn.Module | Mapping) else subject()
        parts = {"model": given} if isinstance(given, nn.Module) else given
    from .checks import check_program

    beside = {"loss": loss, "train": train, "val": val, "optimizer": optimizer, **(recipe or {}), **keys}
    more = {key: value for key, value in beside.items() if value is not None}
    return check_program({**parts, **more} if isinstance(parts, Mapping) else parts).findings
