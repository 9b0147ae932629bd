"""Train a run's network once more: from another seed, or on answers that were dealt out anew. Nothing is written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor, nn

from ..collect.encode import Encoded
from ..kind import Batch
from ..rng import mix
from ..task import Task
from .in_memory import fit_in_memory
from .loop import training_rows

__all__ = ["Shuffled", "train_again"]

GOLDEN = 0.6180339887498949  # of all fractions the one whose multiples are spread most evenly


@dataclass
class Shuffled(Encoded):
    """The same rows, of which each training row has another one's answer: `order[i]` is whose row i has.

    Every answer is dealt out evenly among the rows of every other, and among those of its own, so that what is left of
    the tie between inputs and answers is less than chance would leave. Where answers are not one number a row, chance
    deals.
    """

    order: Tensor | None = None

    @classmethod
    def of(cls, encoded: Encoded, rows: Tensor, seed: int) -> Shuffled:
        """Deal out the answers of `rows` (N,) of a table."""
        random = np.random.Generator(np.random.Philox(mix(seed, 1)))
        drawn = torch.from_numpy(random.permutation(len(rows))).to(rows.device)
        target = next(iter(encoded.targets.values()))
        order = torch.arange(len(encoded.digests), device=rows.device)
        if target.index_select(0, rows[:1]).dim() == 1:
            answers = target.index_select(0, rows[drawn])  # (N,)
            drawn = drawn[answers.argsort(stable=True).to(rows.device)]
            order[rows[drawn]] = rows[drawn[_spread(len(rows)).to(rows.device)]]
        else:
            order[rows] = rows[drawn]
        held = {one.name: getattr(encoded, one.name) for one in fields(Encoded)}
        return cls(**held, order=order)

    def batch(self, rows: Tensor) -> Batch:
        assert self.order is not None
        return Batch(super().batch(rows).inputs, super().batch(self.order[rows]).targets, rows.to(self.device))


def _spread(num: int) -> Tensor:
    """A permutation of 0..N-1 that spreads every run of neighbours evenly over all places."""
    return torch.argsort(torch.arange(num, dtype=torch.float64) * GOLDEN % 1)


def train_again(
    task: Task, encoded: Encoded, splits: Mapping[str, Tensor], seed: int, *, shuffled: bool = False
) -> nn.Module:
    """A network of the same recipe but for its seed: its best weights, in evaluation mode.

    The rows of each split stay what they are. With `shuffled`, training rows have each other's answers, and the last
    weights are taken, since choosing among them would look at the right ones. Raises GateFailed where the loss is lost.
    """
    other = type(task)(task.recipe.replace({"train.seed": seed}), task.schema, task.table, task.options)
    other.rows_by_split = task.rows_by_split
    held, rows = training_rows(other, encoded, splits)
    if shuffled:
        held = Shuffled.of(held, rows["train"], seed)
    return fit_in_memory(other, held, rows, last=shuffled)[0]
