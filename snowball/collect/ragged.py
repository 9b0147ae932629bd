"""Rows of unequal length as one flat tensor: what text and sound are encoded to. L entries in a batch's longest row.

An entry is a number, such as a token or a sample, or a tensor, such as a picture of a film. What does not fit the
memory that it may take stands in a file, and is read row by row.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..finding import BadInput
from .cache import cache_folder, no_room, unlinked_file

__all__ = ["FlatFile", "RaggedBuilder", "RaggedRows", "row_lengths"]

BLOCK = 1 << 20  # entries that are collected before they are joined: small tensors cost more than their content
LONG = 1000  # entries from which a row is copied whole: the index of every entry would be larger than the entry


class FlatFile:
    """The entries of all rows one after the other, in an unlinked temporary file; see RowFile for why not mapped."""

    device = torch.device("cpu")

    def __init__(self, like: Tensor) -> None:
        self.shape, self.dtype = like.shape[1:], like.dtype
        self._entry = max(1, like[:1].nbytes)
        self.num_entries = 0
        try:
            self._file = unlinked_file(self)
        except OSError as error:
            raise no_room(0, error) from error

    @property
    def nbytes(self) -> int:
        return self.num_entries * self._entry

    def append(self, entries: Tensor) -> None:
        content = np.ascontiguousarray(entries.numpy()).tobytes()
        try:
            written = os.pwrite(self._file, content, self.nbytes)
        except OSError as error:
            raise no_room(self.nbytes, error) from error
        if written != len(content):  # a single call writes at most 2 GiB
            raise BadInput(f"{cache_folder()}: encoded rows could not be written: no space, or a row of over 2 GiB")
        self.num_entries += len(entries)

    def read(self, start: int, length: int) -> Tensor:
        """(length, ...): these entries."""
        out = torch.empty((length, *self.shape), dtype=self.dtype)
        if length:
            view: Any = out.view(length, -1).numpy().view(np.uint8)
            if os.preadv(self._file, [view], start * self._entry) != view.nbytes:
                raise BadInput(f"{cache_folder()}: encoded rows could not be read back")
        return out


class RaggedRows:
    """Row i is `flat[starts[i] : starts[i] + lengths[i]]`, with what Encoded uses of a Tensor.

    >>> rows = RaggedRows(torch.tensor([5, 6, 7]), torch.tensor([0, 2]), torch.tensor([2, 1]), padding=0)
    >>> rows.index_select(0, torch.tensor([1, 0])).tolist()
    [[7, 0], [5, 6]]
    """

    def __init__(self, flat: Tensor | FlatFile, starts: Tensor, lengths: Tensor, padding: int) -> None:
        self.flat, self.starts, self.lengths, self.padding = flat, starts, lengths, padding

    @property
    def device(self) -> torch.device:
        return self.flat.device

    @property
    def on_disk(self) -> bool:
        return isinstance(self.flat, FlatFile)

    @property
    def nbytes(self) -> int:
        return int(self.flat.nbytes + self.starts.nbytes + self.lengths.nbytes)

    def to(self, device: torch.device) -> RaggedRows:
        assert isinstance(self.flat, Tensor)
        return RaggedRows(self.flat.to(device), self.starts.to(device), self.lengths.to(device), self.padding)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """(B, L, ...): the rows with these numbers, padded to the longest of them; tokens come as int64."""
        starts, lengths = self.starts[rows], self.lengths[rows]
        longest = int(lengths.max()) if len(rows) else 0
        if isinstance(self.flat, FlatFile) or longest > LONG:
            return self._copied(starts.tolist(), lengths.tolist(), longest)
        inside = torch.arange(longest, device=self.device)  # (L,)
        held = inside < lengths[:, None]
        values = _widened(self.flat[(starts[:, None] + inside) * held])
        if bool(held.all()):
            return values
        return values.masked_fill(~held.reshape(*held.shape, *([1] * (values.dim() - 2))), self.padding)

    def _copied(self, starts: list[int], lengths: list[int], longest: int) -> Tensor:
        flat = self.flat
        out: Tensor | None = None
        for number, (start, length) in enumerate(zip(starts, lengths, strict=True)):
            row = flat.read(start, length) if isinstance(flat, FlatFile) else flat[start : start + length]
            if out is None:
                shape = (len(starts), longest, *row.shape[1:])
                out = torch.full(shape, self.padding, dtype=row.dtype, device=self.device)
            out[number, :length] = row
        return torch.zeros((0, 0), dtype=torch.int64) if out is None else _widened(out)

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


def _narrowed(value: Tensor) -> Tensor:
    """Tokens are held in half the space; samples and pixels as they are."""
    return value.to(torch.int32) if value.dtype == torch.int64 else value


def _widened(values: Tensor) -> Tensor:
    return values.long() if values.dtype == torch.int32 else values


class RaggedBuilder:
    """Takes rows in order; rows that are left out are empty. Above `budget` bytes they go to a file."""

    def __init__(self, num_rows: int, padding: int, budget: int) -> None:
        self._lengths = torch.zeros(num_rows, dtype=torch.int64)
        self._waiting: list[Tensor] = []
        self._joined: list[Tensor] = []
        self._file: FlatFile | None = None
        self._pending = self._bytes = 0
        self._padding, self._budget = padding, budget

    def put(self, row: int, value: Tensor) -> None:
        self._lengths[row] = len(value)
        self._waiting.append(_narrowed(value))
        self._pending += value.numel()
        if len(self._waiting) >= BLOCK // 64 or self._pending >= BLOCK:
            self._join()

    def _join(self) -> None:
        joined = torch.cat(self._waiting) if self._waiting else torch.zeros(0, dtype=torch.int32)
        self._waiting, self._pending = [], 0
        self._bytes += joined.nbytes
        if self._file is None and self._bytes <= self._budget:
            self._joined.append(joined)
            return
        if self._file is None:
            self._file = FlatFile(joined)
            for part in self._joined:
                self._file.append(part)
            self._joined = []
        self._file.append(joined)

    def rows(self) -> RaggedRows:
        if self._waiting or not (self._joined or self._file):
            self._join()
        flat = torch.cat(self._joined) if self._file is None else self._file
        return RaggedRows(flat, self._lengths.cumsum(0) - self._lengths, self._lengths, self._padding)


def row_lengths(held: Sequence[object]) -> Tensor | None:
    """(rows, parts) entries of each row in each ragged part; None where no part is ragged."""
    lengths = [part.lengths for part in held if isinstance(part, RaggedRows)]
    return torch.stack(lengths, 1) if lengths else None
