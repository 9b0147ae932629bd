"""Encode every row of a table once, in threads, into arrays that epochs index in batches.

What fits `data.memory_gb` is kept in memory; more than that goes to a file and is read batch by batch. Rows that
cannot be read are set aside and named.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..finding import Finding, GateFailed
from ..kind import Batch, Kind, Unreadable
from ..rows import Rows
from ..schema import fingerprint
from ..table import Table
from ..task import Task
from ..threads import in_order, one_core_each
from .ragged import RaggedBuilder, RaggedRows, row_lengths
from .row_file import RowFile

__all__ = ["Encoded", "Held", "encode_table"]

Held = Tensor | RowFile | RaggedRows

PART = 32  # rows that a thread takes at once: handing over a row costs as much as encoding a small picture
AHEAD = 16  # parts that are encoded before the first is put in its place: bounds what is in flight


@dataclass
class Encoded:
    """Every row of a table as tensors: `inputs` and `targets` hold (rows, ...) by role, in table order.

    A role that is both given and the answer stands in both, as one.

    `digests`, `facts` (by role) and `bad` (row -> reason) are what the audit reads.
    """

    inputs: Mapping[str, Held]
    targets: Mapping[str, Held]
    digests: list[str]
    facts: dict[str, list[dict[str, Any] | None]]
    bad: dict[int, str]
    sketches: dict[int, np.ndarray] = field(default_factory=dict)
    """Row -> sketch of the first thing given, where its kind has one."""
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))

    @property
    def index_device(self) -> torch.device:
        """Where row numbers are to live: beside the arrays."""
        return next(iter(self.inputs.values())).device

    def batch(self, rows: Tensor) -> Batch:
        """The rows with these numbers (B,) as a batch on `device`."""
        inputs = {role: _select(held, rows) for role, held in self.inputs.items()}
        targets = {
            role: inputs[role] if self.inputs.get(role) is held else _select(held, rows)
            for role, held in self.targets.items()
        }
        if rows.device == self.device:
            return Batch(inputs, targets, rows)
        moved = [{role: t.to(self.device, non_blocking=True) for role, t in part.items()} for part in (inputs, targets)]
        return Batch(moved[0], moved[1], rows.to(self.device))

    def batches(self, rows: Tensor, batch_size: int) -> Iterator[Batch]:
        """Consecutive batches of these rows; the last may be smaller."""
        return (self.batch(part) for part in rows.split(batch_size))

    @property
    def lengths(self) -> Tensor | None:
        """(rows, roles) entries of each row in each ragged role; None where all rows have one shape."""
        return row_lengths(list({id(held): held for held in (*self.inputs.values(), *self.targets.values())}.values()))

    def windows(self, size: int | None, rows: Tensor) -> tuple[Encoded, Tensor]:
        """What a training steps through: windows of these rows (see RaggedRows) and all their numbers (W,).

        Without a size, or where no row is longer, these are the rows themselves.
        """
        ragged = [held for held in self.inputs.values() if isinstance(held, RaggedRows)]
        if size is None or not ragged:
            return self, rows
        cut, home = ragged[0].windows(size, rows)
        inputs = {role: cut if held is ragged[0] else held for role, held in self.inputs.items()}
        targets = {role: cut if held is ragged[0] else held for role, held in self.targets.items()}
        return replace(self, inputs=inputs, targets=targets), torch.arange(len(home), device=self.index_device)

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
            if any(_on_disk(held) for held in part.values()):
                return replace(self, device=device)
            moved.append({role: held.to(device) for role, held in part.items() if not isinstance(held, RowFile)})
        shared = {role: moved[0][role] for role, held in self.targets.items() if self.inputs.get(role) is held}
        return replace(self, inputs=moved[0], targets={**moved[1], **shared}, device=device)


def _select(held: Held, rows: Tensor) -> Tensor:
    """(B, ...): rows by number, laid out as they are held."""
    if not isinstance(held, Tensor) or held.is_contiguous():
        return held.index_select(0, rows)
    # Left to itself torch gathers such rows value by value: 0.19 against 0.02 ms for 3 x 224 x 224 (2026-11-27).
    out = torch.empty_permuted((len(rows), *held.shape[1:]), held.dim_order(), dtype=held.dtype, device=held.device)
    return torch.index_select(held, 0, rows, out=out)


def _on_disk(held: Held) -> bool:
    return isinstance(held, RowFile) or (isinstance(held, RaggedRows) and held.on_disk)


def encode_table(
    task: Task, table: Table, *, progress: Callable[[int, int], None] | None = None, sketches: bool = False
) -> Encoded:
    """Encode all rows of `table`. Raises GateFailed when more than `data.max_bad` of them are unreadable.

    With `sketches` every row is sketched, however many there are; else see Kind.sketch_rows.
    """
    rows = Rows(task, table, range(len(table)))
    columns = {role: task.kinds[role] for role in (*task.given, task.answer_role)}
    builder = _Builder(columns, len(table), int(task.recipe.data.memory_gb * 2**30))
    digests = [""] * len(table)
    facts: dict[str, list[dict[str, Any] | None]] = {role: [None] * len(table) for role in columns}
    bad: dict[int, str] = {}
    sketched: dict[int, np.ndarray] = {}
    first = next(iter(task.given))
    limit = columns[first].sketch_rows
    sketching = sketches or limit is None or len(table) <= limit

    def encode(row: int) -> tuple[dict[str, Tensor], str, dict[str, dict[str, Any]], np.ndarray | None] | str:
        try:
            given, answer = rows.given(row), rows.answer(row)
            inputs, targets = task.encode(given, answer)
        except Unreadable as reason:
            return str(reason)
        seen = ",".join("absent" if value is None else columns[role].digest(value) for role, value in given.items())
        digest = f"{seen} {columns[task.answer_role].digest(answer)}"
        sketch = columns[first].sketch(given[first]) if sketching and given[first] is not None else None
        return {**inputs, **targets}, digest, task.facts(given, answer), sketch

    parts = [range(start, min(start + PART, len(table))) for start in range(0, len(table), PART)]
    with one_core_each() as pool:
        done = in_order(pool, lambda part: [encode(row) for row in part], parts, AHEAD)
        for part, results in zip(parts, done, strict=True):
            for row, result in zip(part, results, strict=True):
                if isinstance(result, str):
                    bad[row] = result
                    continue
                tensors, digests[row], row_facts, sketch = result
                if sketch is not None:
                    sketched[row] = sketch
                builder.put(row, tensors)
                for role, value in row_facts.items():
                    facts[role][row] = value
            if progress:
                progress(part[-1] + 1, len(table))
    _gate_bad_rows(table, bad, task.recipe.data.max_bad)
    held = builder.rows()
    inputs = {role: held[role] for role in task.given}
    return Encoded(inputs, {task.answer_role: held[task.answer_role]}, digests, facts, bad, sketched)


class _Builder:
    """Holds the rows of each role, in memory or in a file, once the first row shows the shapes."""

    def __init__(self, columns: Mapping[str, Kind], num_rows: int, budget: int) -> None:
        self._columns = columns
        self._held: dict[str, Tensor | RowFile | RaggedBuilder] = {}
        self._num_rows = num_rows
        self._budget = budget

    def put(self, row: int, tensors: Mapping[str, Tensor]) -> None:
        if not self._held:
            self._begin(tensors)
        for role, tensor in tensors.items():
            held = self._held[role]
            if isinstance(held, Tensor):
                held[row] = tensor
            else:
                held.put(row, tensor)

    def _begin(self, tensors: Mapping[str, Tensor]) -> None:
        equal = {role: tensor for role, tensor in tensors.items() if self._columns[role].padding is None}
        in_memory = sum(tensor.nbytes for tensor in equal.values()) * self._num_rows <= self._budget
        for role, tensor in tensors.items():
            padding = self._columns[role].padding
            if padding is not None:
                self._held[role] = RaggedBuilder(self._num_rows, padding, self._budget)
            elif in_memory:
                # numpy's zeros are pages of the kernel's that are touched once, when rows come; torch writes its own
                order = tensor.dim_order()
                held = np.zeros((self._num_rows, *tensor.permute(order).shape), dtype=tensor.numpy().dtype)
                self._held[role] = torch.from_numpy(held).permute(
                    0, *(1 + order.index(dim) for dim in range(tensor.dim()))
                )
            else:
                self._held[role] = RowFile(self._num_rows, tensor)

    def rows(self) -> dict[str, Held]:
        return {role: held.rows() if isinstance(held, RaggedBuilder) else held for role, held in self._held.items()}


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
