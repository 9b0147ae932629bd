"""Which held-out rows the program's own metric looks at, and in which mode."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.utils.data import DataLoader, SequentialSampler

from ..finding import Finding
from .lab import Lab
from .nested import mapped, row_count
from .program import mode_matters
from .sample import row_keys

__all__ = ["dropped_rows"]


def dropped_rows(lab: Lab) -> Iterator[Finding]:
    """Held-out rows that no batch holds, and batches the metric does not look at."""
    program = lab.program
    loader = program.val
    if loader is None:
        return
    if isinstance(loader, DataLoader) and loader.drop_last and hasattr(loader.dataset, "__len__") and loader.batch_size:
        total = len(loader.dataset)
        left = total % loader.batch_size
        if left:
            message = f"the held-out loader drops its last batch: {left} of {total} rows are never evaluated"
            yield Finding(
                "dropped-rows", "error", message, {"rows": left, "of": total}, "drop_last=False for held-out rows"
            )
    elif isinstance(loader, DataLoader) and isinstance(loader.sampler, SequentialSampler) and lab.val is not None:
        total, given = len(loader.sampler), len(lab.val)
        if lab.val.complete and given < total:
            message = f"the held-out loader gives {given} of {total} rows: what puts batches together leaves rows out"
            fix = "keep every row, whatever its length"
            yield Finding("dropped-rows", "error", message, {"rows": total - given, "of": total}, fix)
    train = program.train
    if isinstance(train, DataLoader) and train.drop_last and hasattr(train.dataset, "__len__") and train.batch_size:
        total = len(train.dataset)
        left = total % train.batch_size
        if left > 0.2 * total:
            message = f"the training loader drops its last batch: {left} of {total} rows"
            yield Finding(
                "dropped-rows", "warning", message, {"rows": left, "of": total}, "smaller batches, or drop_last=False"
            )
    yield from _unseen(lab)


def _seen(lab: Lab, loader: Any) -> tuple[list[Any], list[bool], float]:
    """What reaches the model while the program evaluates, the model's mode each time, and the metric."""
    program = lab.program
    seen: list[Any] = []
    modes: list[bool] = []

    def note(module: nn.Module, given: Any, named: Any) -> None:
        inputs = program.opened(named if named else (given[0] if len(given) == 1 else given))
        seen.append(mapped(inputs, lambda t: t.detach()))
        modes.append(module.training)

    hook = program.model.register_forward_pre_hook(note, with_kwargs=True)
    try:
        assert program.evaluate is not None
        value = float(program.evaluate(program.model, loader))
    finally:
        hook.remove()
    return seen, modes, value


def _unseen(lab: Lab) -> Iterator[Finding]:
    program = lab.program
    val = lab.every_val
    if program.evaluate is None or program.val is None or val is None:
        return
    with program.kept(seed=0):
        program.model.train()
        buffers = [b.detach().clone() for b in program.model.buffers()]
        seen, modes, _ = _seen(lab, program.val)
        changed = any(
            not torch.equal(a.to_dense(), b.to_dense()) for a, b in zip(buffers, program.model.buffers(), strict=True)
        )
    own = set(row_keys(val.inputs))
    count = sum(row_count(part) for part in seen)
    rows = [key for part in seen for key in row_keys(part)]
    if not rows:
        return
    if any(modes) and (mode_matters(program.model) or changed):
        message = "the metric runs the model in training mode: dropout is on, and statistics follow held-out rows"
        yield Finding(
            "eval-mode", "error", message, {"batches": sum(modes)}, "model.eval() before, model.train() after"
        )
    inside = sum(key in own for key in rows)
    if inside < 0.5 * len(rows) and val.complete:
        trained = set(row_keys(lab.train.inputs))
        from_train = sum(key in trained for key in rows)
        if from_train > (0.5 if lab.train.complete else 0.1) * len(rows):
            message = f"the metric looks at training rows ({from_train} of {len(rows)}), not at those it is handed"
            yield Finding(
                "metric-on-train", "error", message, {"rows": from_train}, "go through the loader that is handed over"
            )
        return
    if val.complete and count < len(val) - 0.5:
        missing = len(val) - count
        message = f"the metric looks at {count} of {len(val)} held-out rows"
        yield Finding(
            "dropped-rows", "error", message, {"rows": missing, "of": len(val)}, "count every batch of the loader"
        )
