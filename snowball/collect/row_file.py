"""Rows of equal shape in an unlinked temporary file: read by number, never mapped.

A mapping would be shorter, but the kernel maps whole folios of up to 2 MB around a touched page, so that random rows
soon make all of the file resident (measured 2026-11-24). Reading leaves the caching to the kernel.
"""

from __future__ import annotations

import os

import numpy as np
import torch
from torch import Tensor

from ..finding import BadInput
from .cache import cache_folder, no_room, unlinked_file

__all__ = ["RowFile"]


class RowFile:
    """`num_rows` rows like `first`, on disk, with what Encoded uses of a Tensor: index_select, nbytes, device."""

    device = torch.device("cpu")

    def __init__(self, num_rows: int, first: Tensor) -> None:
        self._shape, self._dtype = first.shape, first.dtype
        self._order = first.dim_order()  # from the outermost dimension of its layout in memory to the innermost
        self._row_bytes = first.nbytes
        self.nbytes = num_rows * self._row_bytes
        try:
            self._file = unlinked_file(self)
            os.ftruncate(self._file, self.nbytes)
            if hasattr(os, "posix_fallocate"):  # not on macOS; a full disk is met here, not at a later row
                os.posix_fallocate(self._file, 0, max(1, self.nbytes))
        except OSError as error:
            raise no_room(self.nbytes, error) from error

    def put(self, row: int, value: Tensor) -> None:
        """Write one row."""
        os.pwrite(self._file, value.permute(self._order).numpy().tobytes(), row * self._row_bytes)

    def index_select(self, dim: int, rows: Tensor) -> Tensor:
        """(B, ...): the rows with these numbers, laid out as they were put."""
        order = (0, *(1 + dim for dim in self._order))
        out = torch.empty_permuted((len(rows), *self._shape), order, dtype=self._dtype)
        rows_of = out.permute(order).reshape(len(rows), -1) if len(rows) else torch.empty(0, 0)
        view = rows_of.numpy().view(np.uint8)
        for position, row in enumerate(rows.tolist()):
            if os.preadv(self._file, [view[position]], row * self._row_bytes) != self._row_bytes:
                raise BadInput(f"{cache_folder()}: row {row} of the encoded rows could not be read back")
        return out
