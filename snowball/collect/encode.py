"""Encode every row of a table once, in threads, into arrays that epochs index in batches.

What fits `data.memory_gb` is kept in memory; the rest goes to a memory-mapped file, whose touched pages are given
back as they are used. Rows that cannot be read are set aside and named.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..finding import BadInput, Finding, GateFailed
from ..kind import Batch, Unreadable
from ..table import Table
from ..task import Rows, Task, fingerprint
from .cache import cache_folder

__all__ = ["Encoded", "encode_table"]

CHUNK = 512  # rows that are encoded before the next are begun: bounds what is in flight
FAULT_AROUND = 65_536  # bytes that Linux maps around a touched page, and counts as resident
PART = 32  # rows that a thread takes at once: handing over a row costs as much as encoding a small picture


@dataclass
class Encoded:
    """Every row of a table as tensors: `inputs` and `targets` hold (rows, ...) by role, in table order.

    `digests`, `facts` (by role) and `bad` (row -> reason) are what the audit reads.
    """

    inputs: dict[str, Tensor]
    targets: dict[str, Tensor]
    digests: list[str]
    facts: dict[str, list[dict[str, Any] | None]]
    bad: dict[int, str]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    _maps: list[mmap.mmap] = field(default_factory=list)
    _budget: int = 0
    _touched: int = 0

    @property
    def index_device(self) -> torch.device:
        """Where row numbers are to live: beside the arrays."""
        return next(iter(self.inputs.values())).device

    def batch(self, rows: Tensor) -> Batch:
        """The rows with these numbers (B,) as a batch on `device`."""
        inputs = {role: tensor.index_select(0, rows) for role, tensor in self.inputs.items()}
        targets = {role: tensor.index_select(0, rows) for role, tensor in self.targets.items()}
        if self._maps:
            self._release(sum(tensor.nbytes + len(rows) * FAULT_AROUND for tensor in inputs.values()))
        if rows.device == self.device:
            return Batch(inputs, targets, rows)
        moved = [{role: t.to(self.device, non_blocking=True) for role, t in part.items()} for part in (inputs, targets)]
        return Batch(moved[0], moved[1], rows.to(self.device))

    def batches(self, rows: Tensor, batch_size: int) -> Iterator[Batch]:
        """Consecutive batches of these rows; the last may be smaller."""
        return (self.batch(part) for part in rows.split(batch_size))

    def to(self, device: torch.device) -> Encoded:
        """The same rows for a device: resident there where they fit, else moved batch by batch."""
        if device.type == "cpu":
            return self
        num_bytes = sum(tensor.nbytes for part in (self.inputs, self.targets) for tensor in part.values())
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else num_bytes * 4
        if self._maps or num_bytes > free // 2:  # half is left to the network
            return replace(self, device=device)
        inputs = {role: tensor.to(device) for role, tensor in self.inputs.items()}
        targets = {role: tensor.to(device) for role, tensor in self.targets.items()}
        return replace(self, inputs=inputs, targets=targets, device=device)

    def _release(self, num_bytes: int) -> None:
        """Give touched pages back once they may add up to the budget; the kernel still caches them for all."""
        self._touched += num_bytes
        if self._touched > self._budget:
            self._touched = 0
            for mapped in self._maps:
                mapped.madvise(mmap.MADV_DONTNEED)


def encode_table(
    task: Task, table: Table, *, with_answers: bool = True, progress: Callable[[int, int], None] | None = None
) -> Encoded:
    """Encode all rows of `table`. Raises GateFailed when more than `data.max_bad` of them are unreadable."""
    rows = Rows(task, table, range(len(table)))
    columns = {role: task.kinds[role] for role in (*task.given, task.answer_role)}
    builder = _Builder(len(table), int(task.recipe.data.memory_gb * 2**30))
    digests = [""] * len(table)
    facts: dict[str, list[dict[str, Any] | None]] = {role: [None] * len(table) for role in columns}
    bad: dict[int, str] = {}

    def encode(row: int) -> tuple[dict[str, Tensor], str, dict[str, dict[str, Any]]] | str:
        try:
            values = rows.given(row)
            tensors = task.encode_given(values)
            if with_answers:
                values = values | {task.answer_role: rows.answer(row)}
                tensors |= {task.answer_role: task.answer_kind.encode(values[task.answer_role])}
        except Unreadable as reason:
            return str(reason)
        digest = " ".join(columns[role].digest(value) for role, value in values.items())
        return tensors, digest, {role: columns[role].facts(value) for role, value in values.items()}

    numbers = iter(range(len(table)))
    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        while chunk := list(islice(numbers, CHUNK)):
            parts = [chunk[start : start + PART] for start in range(0, len(chunk), PART)]
            encoded = pool.map(lambda part: [encode(row) for row in part], parts)
            for row, result in zip(chunk, chain.from_iterable(encoded), strict=True):
                if isinstance(result, str):
                    bad[row] = result
                    continue
                tensors, digests[row], row_facts = result
                builder.put(row, tensors)
                for role, value in row_facts.items():
                    facts[role][row] = value
            if progress:
                progress(chunk[-1] + 1, len(table))
    _gate_bad_rows(table, bad, task.recipe.data.max_bad)
    tensors, maps = builder.finish()
    inputs = {role: tensors[role] for role in task.given}
    targets = {task.answer_role: tensors[task.answer_role]} if with_answers else {}
    return Encoded(inputs, targets, digests, facts, bad, _maps=maps, _budget=builder.budget)


class _Builder:
    """Fills one array a role, in memory or in an unlinked temporary file, once the first row shows the shapes."""

    def __init__(self, num_rows: int, budget: int) -> None:
        self.budget = budget
        self._num_rows = num_rows
        self._arrays: dict[str, np.ndarray] = {}
        self._maps: list[mmap.mmap] = []
        self._written = 0

    def put(self, row: int, tensors: Mapping[str, Tensor]) -> None:
        if not self._arrays:
            total = sum(tensor.nbytes for tensor in tensors.values()) * self._num_rows
            for role, tensor in tensors.items():
                self._arrays[role] = self._allocate(tensor.numpy(), mapped=total > self.budget)
        for role, tensor in tensors.items():
            self._arrays[role][row] = tensor.numpy()
            self._written += tensor.nbytes
        if self._maps and self._written > self.budget:
            self._flush()

    def _allocate(self, like: np.ndarray, *, mapped: bool) -> np.ndarray:
        shape = (self._num_rows, *like.shape)
        if not mapped:
            return np.zeros(shape, like.dtype)
        size = max(1, int(np.prod(shape)) * like.dtype.itemsize)
        try:
            with tempfile.TemporaryFile(dir=cache_folder(), prefix="encoded-") as file:
                file.truncate(size)
                if hasattr(os, "posix_fallocate"):  # not on macOS; a full disk is met here, not at a later page
                    os.posix_fallocate(file.fileno(), 0, size)
                self._maps.append(mmap.mmap(file.fileno(), size))
        except OSError as error:
            raise BadInput(
                f"{cache_folder()}: {size / 2**30:.1f} GiB for encoded rows: {error.strerror};"
                " free some space, or point SNOWBALL_CACHE elsewhere"
            ) from error
        return np.frombuffer(self._maps[-1], like.dtype).reshape(shape)

    def _flush(self) -> None:
        self._written = 0
        for mapped in self._maps:
            mapped.flush()
            mapped.madvise(mmap.MADV_DONTNEED)

    def finish(self) -> tuple[dict[str, Tensor], list[mmap.mmap]]:
        with suppress(OSError):
            self._flush()
        return {role: torch.from_numpy(array) for role, array in self._arrays.items()}, self._maps


def _gate_bad_rows(table: Table, bad: Mapping[int, str], max_bad: float) -> None:
    if len(bad) <= max_bad * len(table) and len(bad) < len(table):
        return
    row, reason = next(iter(bad.items()))
    raise GateFailed(
        f"{table.name}: {len(bad)} of {len(table)} rows cannot be read, more than data.max_bad={max_bad:g};"
        f" the first: {table.where(row)}: {reason}",
        [bad_rows_finding(table, bad, "error")],
    )


def bad_rows_finding(table: Table, bad: Mapping[int, str], severity: Any = "warning") -> Finding:
    """The rows that were set aside, each with its place and reason (the first hundred)."""
    named = [{"where": table.where(row), "reason": reason} for row, reason in islice(bad.items(), 100)]
    return Finding(
        "unreadable-rows",
        severity,
        f"{len(bad)} of {len(table)} rows were set aside, e.g. {named[0]['where']}: {named[0]['reason']}",
        {"rows": named, "count": len(bad)},
        "mend or remove them",
    )


def split_fingerprints(encoded: Encoded, splits: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Rows and content fingerprint of each split, for schema.json."""
    return {
        name: {"rows": len(rows), "sha256": fingerprint([encoded.digests[row] for row in rows])}
        for name, rows in splits.items()
    }
