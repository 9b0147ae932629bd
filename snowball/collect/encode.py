"""Encode every row of a table once, in threads, into arrays that epochs index in batches.

What fits `data.memory_gb` is kept in memory; more than that goes to a file and is read batch by batch. Rows that
cannot be read are set aside and named.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding, GateFailed
from ..kind import Batch, Unreadable
from ..table import Table
from ..task import Rows, Task, fingerprint
from .row_file import RowFile

__all__ = ["Encoded", "encode_table"]

CHUNK = 512  # rows that are encoded before the next are begun: bounds what is in flight
PART = 32  # rows that a thread takes at once: handing over a row costs as much as encoding a small picture


@dataclass
class Encoded:
    """Every row of a table as tensors: `inputs` and `targets` hold (rows, ...) by role, in table order.

    `digests`, `facts` (by role) and `bad` (row -> reason) are what the audit reads.
    """

    inputs: Mapping[str, Tensor | RowFile]
    targets: Mapping[str, Tensor | RowFile]
    digests: list[str]
    facts: dict[str, list[dict[str, Any] | None]]
    bad: dict[int, str]
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def index_device(self) -> torch.device:
        """Where row numbers are to live: beside the arrays."""
        return next(iter(self.inputs.values())).device

    def batch(self, rows: Tensor) -> Batch:
        """The rows with these numbers (B,) as a batch on `device`."""
        inputs = {role: held.index_select(0, rows) for role, held in self.inputs.items()}
        targets = {role: held.index_select(0, rows) for role, held in self.targets.items()}
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
        num_bytes = sum(held.nbytes for part in (self.inputs, self.targets) for held in part.values())
        free = torch.cuda.mem_get_info(device)[0] if device.type == "cuda" else num_bytes * 4
        if num_bytes > free // 2:  # half is left to the network
            return replace(self, device=device)
        moved = []
        for part in (self.inputs, self.targets):
            if any(isinstance(held, RowFile) for held in part.values()):
                return replace(self, device=device)
            moved.append({role: held.to(device) for role, held in part.items() if isinstance(held, Tensor)})
        return replace(self, inputs=moved[0], targets=moved[1], device=device)


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
    inputs = {role: builder.held[role] for role in task.given}
    targets = {task.answer_role: builder.held[task.answer_role]} if with_answers else {}
    return Encoded(inputs, targets, digests, facts, bad)


class _Builder:
    """Holds the rows of each role, in memory or in a file, once the first row shows the shapes."""

    def __init__(self, num_rows: int, budget: int) -> None:
        self.held: dict[str, Tensor | RowFile] = {}
        self._num_rows = num_rows
        self._budget = budget

    def put(self, row: int, tensors: Mapping[str, Tensor]) -> None:
        if not self.held:
            in_memory = sum(tensor.nbytes for tensor in tensors.values()) * self._num_rows <= self._budget
            for role, tensor in tensors.items():
                rows = torch.zeros((self._num_rows, *tensor.shape), dtype=tensor.dtype) if in_memory else None
                self.held[role] = RowFile(self._num_rows, tensor) if rows is None else rows
        for role, tensor in tensors.items():
            held = self.held[role]
            if isinstance(held, RowFile):
                held.put(row, tensor)
            else:
                held[row] = tensor


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
