"""Whether what a metric says depends on the batches that the same rows and answers come in."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from ..finding import Finding
from .lab import Lab
from .nested import leaves, rows_of
from .sample import Sample
from .stand_in import Places, StandIn, blended

__all__ = ["averaged"]


def averaged(lab: Lab, table: Places, perfect: Any, wrong: Any, span: float) -> Iterator[Finding]:
    """The same rows and answers in batches of other sizes must score the same; `span`: what all right scores more than
    all wrong."""
    program, val = lab.program, lab.every_val
    assert val is not None and program.evaluate is not None
    count = len(val)
    if count < 8:
        return
    random = torch.Generator().manual_seed(0)
    last = val.sizes[-1]
    patterns = [
        torch.rand(count, generator=random) < 0.7,
        torch.arange(count) >= count - last,
        torch.arange(count) < count // 2,
    ]
    for right in (table.alike(pattern) for pattern in patterns):
        stand_in = StandIn(table, blended(perfect, wrong, right))
        if _of_other_lengths(val):  # in one batch short rows would have places that the metric need not know of
            half = len(val.batches) // 2
            whole, uneven = _quartered(val, slice(0, half)), _quartered(val, slice(half, None))
        else:
            whole = _rebatched(val, (count,))
            uneven = _rebatched(val, (count // 2, count // 4, count - count // 2 - count // 4))
        try:
            with program.kept(seed=0):
                one = float(program.evaluate(stand_in, program.val))
                two = float(program.evaluate(stand_in, whole))
                three = float(program.evaluate(stand_in, uneven))
        except Exception:  # a metric that asks more of a loader than batches cannot be tested so
            return
        if stand_in.strange or not all(map(math.isfinite, (one, two, three))):
            return
        if max(abs(one - two), abs(two - three)) > 1e-3 * max(span, 1e-9):
            evidence = {"as_it_is": one, "in_other_batches": two, "in_uneven_batches": three}
            message = (
                f"the same answers score {one:.4g} in the program's batches, {two:.4g} in others: means are averaged"
            )
            yield Finding(
                "metric-averaging",
                "error",
                message,
                evidence,
                "add up what is counted over all batches, then divide once",
            )
            return


def _rebatched(sample: Sample, sizes: tuple[int, ...]) -> list[tuple[Any, Any]]:
    found, begin = [], 0
    for size in sizes:
        rows = slice(begin, begin + size)
        found.append((rows_of(sample.inputs, rows), rows_of(sample.targets, rows)))
        begin += size
    return found


def _of_other_lengths(sample: Sample) -> bool:
    """Whether batches hold rows of one length each, and not all of the same."""
    return len({tuple(tuple(t.shape[1:]) for _, t in leaves(inputs)) for inputs, _ in sample.batches}) > 1


def _quartered(sample: Sample, those: slice) -> list[tuple[Any, Any]]:
    """The batches as they are, but for those, of which each is cut into four."""
    cut = set(range(len(sample.batches))[those])
    found = []
    for number, ((inputs, targets), size) in enumerate(zip(sample.batches, sample.sizes, strict=True)):
        step = max(1, size // 4) if number in cut else size
        for rows in (slice(begin, min(begin + step, size)) for begin in range(0, size, step)):
            found.append((rows_of(inputs, rows), rows_of(targets, rows)))
    return found
