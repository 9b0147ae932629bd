"""Which rows stand in which step of an epoch: a function of (seed, epoch) and the rows' lengths alone.

Rows of unequal length are put together with rows of about their own, so that little of a batch is padding.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from ..collect.encode import Encoded
from ..kind import Batch
from ..recipe import TrainSection
from ..rng import epoch_order, mix

__all__ = ["Epochs", "by_length", "evaluation_batches", "padding_waste"]

EVALUATION_BATCH = 128  # rows at least; no gradients are kept, so larger than most training batches
FAR = 4  # times as long
POOL = 256  # steps whose rows are sorted together: 12 % of Multi30k was padding at 64, 5 % is at 256


class Epochs:
    """The steps of each epoch over `rows`; `lengths` (table rows, roles) are of all rows, or None for equal shapes."""

    def __init__(self, rows: Tensor, lengths: Tensor | None, recipe: TrainSection) -> None:
        self._rows, self._recipe = rows, recipe
        unequal = lengths is not None and len(rows) > 0 and bool((lengths[rows] != lengths[rows[:1]]).any())
        self._lengths = lengths if unequal else None
        self._size = recipe.batch_size * recipe.accumulate
        self.num_steps = len(_parts(rows, self._size))

    def steps(self, epoch: int) -> Iterator[Tensor]:
        """The rows of each step, in order."""
        order = self._rows[epoch_order(len(self._rows), self._recipe.seed, epoch).to(self._rows.device)]
        if self._lengths is None:
            yield from _parts(order, self._size)
            return
        parts = _parts(
            torch.cat([by_length(pool, self._lengths) for pool in order.split(POOL * self._size)]), self._size
        )
        generator = torch.Generator().manual_seed(mix(self._recipe.seed, epoch, 3))
        yield from (parts[i] for i in torch.randperm(len(parts), generator=generator).tolist())

    def batches(self, rows: Tensor) -> list[Tensor]:
        """The batches of one step."""
        return _parts(rows, self._recipe.batch_size) if self._recipe.accumulate > 1 else [rows]

    def padding(self) -> float | None:
        """The share of padding in the first epoch's batches; None where rows have one shape."""
        if self._lengths is None:
            return None
        return padding_waste([self._lengths[part] for step in self.steps(0) for part in self.batches(step)])


def padding_waste(batches: list[Tensor]) -> float:
    """The share of entries that are padding, of batches given by their rows' lengths (rows, roles).

    >>> round(padding_waste([torch.tensor([[4], [2]]), torch.tensor([[2]])]), 4)
    0.2
    """
    held = sum(int(lengths.sum()) for lengths in batches)
    return 1 - held / max(1, sum(int(lengths.amax(0).sum()) * len(lengths) for lengths in batches))


def evaluation_batches(encoded: Encoded, rows: Tensor, recipe: TrainSection) -> Iterator[Batch]:
    """Batches of rows of about one length, to be answered and not learned from; `Batch.index` says which they are."""
    return encoded.batches(by_length(rows, encoded.lengths), max(EVALUATION_BATCH, recipe.batch_size))


def by_length(rows: Tensor, lengths: Tensor | None) -> Tensor:
    """Rows sorted by their lengths, the last role's first; as they are where they have no lengths.

    A role whose rows are far longer than the shortest role's, such as sound beside its words, goes before all others:
    nearly all that can be padding is there.
    """
    if lengths is None:
        return rows
    found = lengths[rows]
    totals = found.sum(0).tolist()
    for role in sorted(range(found.shape[1]), key=lambda role: totals[role] > FAR * min(totals)):
        # stable sorts, the most important last
        order = torch.argsort(found[:, role], stable=True)
        rows, found = rows[order], found[order]
    return rows


def _parts(rows: Tensor, size: int) -> list[Tensor]:
    """Rows in parts of `size`. A last row that would stand alone joins the part before: one row has no variance,
    and BatchNorm fails on it; dropping it would be silent.
    """
    parts = list(rows.split(size))
    if len(parts) > 1 and len(parts[-1]) == 1 < size:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts
