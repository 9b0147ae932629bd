"""Rows of unequal length as one flat tensor: what text and scenes are encoded to.

L entries in the longest row of a batch; an entry is one number, or a tensor of one shape for all.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..finding import BadInput

__all__ = ["RaggedBuilder", "RaggedRows", "row_lengths"]

BLOCK = 1 << 20  # entries that are collected before they are joined: small tensors cost more than their content


class RaggedRows:
    """Row i is `flat[starts[i] : starts[i] + lengths[i]]`, with what Encoded uses of a Tensor.

    >>> rows = RaggedRows(torch.tensor([5, 6, 7]), torch.tensor([0, 2]), torch.tensor([2, 1]), padding=0)
    >>> rows.index_select(0, torch.tensor([1, 0])).tolist()
    [[7, 0], [5, 6]]
    """

    def __init__(self, flat: Tensor, starts: Tensor, lengths: Tensor, padding: int) -> None:
        self.flat, self.starts, self.lengths, self.padding = flat, starts, lengths, padding

    @property
    def device(self) -> torch.device:
        return self.flat.device

    @property
    def nbytes(self) -> int:
        return int(self.flat.nbytes + self.starts.nbytes + self.lengths.nbytes)

    def to(self, device: torch.device) -> RaggedRows:
        return RaggedRows(self.flat.to(device), self.starts.to(device), self.lengths.to(device), self.padding)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """(B, L, ...): the rows with these numbers, padded to the longest of them; whole numbers as int64."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        inside = torch.arange(int(lengths.max()) if len(rows) else 0, device=self.device)  # (L,)
        held = inside < lengths[:, None]
        values = self.flat[(starts[:, None] + inside) * held]
        values = values if values.is_floating_point() else values.long()
        if bool(held.all()):
            return values
        return values.masked_fill(~held[(..., *[None] * (values.dim() - 2))], self.padding)

    def windows(self, size: int, rows: Tensor) -> tuple[RaggedRows, Tensor]:
        """These rows cut into windows of `size` + 1 entries at most, and the row (W,) that each is from.

        Each begins with the entry that the one before ends with: every entry but a row's first is predicted once.
        A row of one entry has nothing to predict, and no window.
        """
        spans = (self.lengths[rows] - 1).clamp(min=0)  # what there is to predict
        counts = (spans + size - 1) // size
        home = torch.repeat_interleave(rows, counts)
        first = torch.repeat_interleave(counts.cumsum(0) - counts, counts)
        offsets = (torch.arange(len(home), device=self.device) - first) * size
        lengths = torch.minimum(self.lengths[home] - offsets, torch.tensor(size + 1, device=self.device))
        return RaggedRows(self.flat, self.starts[home] + offsets, lengths, self.padding), home


class RaggedBuilder:
    """Takes rows in order; rows that are left out are empty."""

    def __init__(self, num_rows: int, padding: int, budget: int) -> None:
        self._lengths = torch.zeros(num_rows, dtype=torch.int64)
        self._waiting: list[Tensor] = []
        self._joined: list[Tensor] = []
        self._held = 0
        self._padding, self._budget = padding, budget

    def put(self, row: int, value: Tensor) -> None:
        self._lengths[row] = len(value)
        self._waiting.append(value if value.is_floating_point() else value.to(torch.int32))
        self._held += self._waiting[-1].nbytes
        if len(self._waiting) >= BLOCK // 64:
            self._join()

    def _join(self) -> None:
        if self._waiting or not self._joined:
            self._joined.append(torch.cat(self._waiting) if self._waiting else torch.zeros(0, dtype=torch.int32))
        self._waiting = []
        if self._held > self._budget:
            raise BadInput(
                f"{self._held:,} bytes of encoded rows are more than data.memory_gb={self._budget / 2**30:g}: raise it,"
                " or give less"
            )

    def rows(self) -> RaggedRows:
        self._join()
        return RaggedRows(
            torch.cat(self._joined), self._lengths.cumsum(0) - self._lengths, self._lengths, self._padding
        )


def row_lengths(held: Sequence[object]) -> Tensor | None:
    """(rows, parts) entries of each row in each ragged part; None where no part is ragged."""
    lengths = [part.lengths for part in held if isinstance(part, RaggedRows)]
    return torch.stack(lengths, 1) if lengths else None
