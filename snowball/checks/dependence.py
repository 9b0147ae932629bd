"""Which output depends on which input: rows, positions, and chance.

Each is a differential test: one thing is replaced, and what must not move, or must move, is compared.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .lab import Lab
from .nested import edges, leaves, mapped, row_count, rows_of
from .scale import standardiser

__all__ = [
    "batch_mixing",
    "eval_mode",
    "eval_outputs",
    "input_ignored",
    "is_random",
    "plain_step",
    "spare_optimizer",
    "time_leak",
    "with_leaf",
]

SAME = 1e-4  # of an output's largest value: rounding in another order stays at 1e-6, a leak is far above


STEPS = 3  # after which a layer that begins at zero has a gradient below it


def eval_outputs(lab: Lab, inputs: Any) -> list[Tensor]:
    """Outputs with rows, in evaluation mode, from one random state so that noise is the same each time."""
    torch.manual_seed(0)
    outputs = lab.outputs(inputs)
    return [tensor.float() for _, tensor in leaves(outputs) if tensor.is_floating_point() and tensor.dim() > 0]


def is_random(lab: Lab) -> bool:
    """Whether the same input gives other outputs each time in evaluation mode, see `eval_mode`."""
    if "_random" not in lab.__dict__:
        with lab.program.kept(seed=0):
            first, second = lab.outputs(lab.batch[0]), lab.outputs(lab.batch[0])
        pairs = zip(leaves(first), leaves(second), strict=True)
        lab.__dict__["_random"] = any(difference(a, b) > SAME for (_, a), (_, b) in pairs if a.is_floating_point())
    return bool(lab.__dict__["_random"])


def difference(before: Tensor, after: Tensor) -> float:
    """The largest difference as a share of the largest value."""
    if not before.numel() or before.shape != after.shape:
        return 0.0
    return float((before - after).abs().max() / before.abs().max().clamp(min=1e-6))


def _by_row(tensor: Tensor, count: int) -> Tensor | None:
    """(B, ...): outputs that hold several answers a row, flattened, are put back in rows."""
    if tensor.shape[0] == count:
        return tensor
    return tensor.reshape(count, -1) if tensor.shape[0] and tensor.shape[0] % count == 0 else None


def eval_mode(lab: Lab) -> Iterator[Finding]:
    """The same input twice in evaluation mode gives the same; and a training step runs in training mode."""
    program, (inputs, _) = lab.program, lab.batch
    with program.kept(seed=0):
        first, second = lab.outputs(inputs), lab.outputs(inputs)
        names = [name for name, t in leaves(first) if t.is_floating_point()]
        pairs = zip(
            names,
            [t for _, t in leaves(first) if t.is_floating_point()],
            [t for _, t in leaves(second) if t.is_floating_point()],
            strict=True,
        )
        moved = max((difference(a, b) for _, a, b in pairs), default=0.0)
        if moved <= SAME:
            return
        watch = _DropoutWatch()
        with watch:
            lab.outputs(inputs)
    evidence = {"moved": moved, "dropout": watch.active}
    message = f"in evaluation mode the same input gives other outputs each time: they move by {moved:.2g}"
    if watch.active:
        yield Finding("eval-mode", "error", f"{message}; dropout is active", evidence, "F.dropout(x, p, self.training)")
    else:
        yield Finding("eval-mode", "warning", message, evidence, "draw random numbers in training mode alone")


class _DropoutWatch(torch.overrides.TorchFunctionMode):
    """Counts calls of dropout that drop."""

    def __init__(self) -> None:
        super().__init__()
        self.active = 0

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if "dropout" in getattr(func, "__name__", ""):
            given = dict(zip(("input", "p", "training"), args, strict=False)) | dict(kwargs or {})
            self.active += int(bool(given.get("training", True)) and float(given.get("p", 0.5)) > 0)
        return func(*args, **(kwargs or {}))


def batch_mixing(lab: Lab) -> Iterator[Finding]:
    """In evaluation mode a row's outputs stay when all other rows are replaced."""
    inputs, _ = lab.batch
    count = row_count(inputs)
    if count < 3 or is_random(lab) or lab.compares_rows or edges(inputs):  # rows of a graph hear of one another
        return
    row = count // 2
    behind = row - 1 if count < 8 else row + 1  # rows that are sorted by length stay so
    others = torch.tensor([row - 1] * row + [row] + [behind] * (count - row - 1), device=lab.program.device)
    with lab.program.kept(seed=0):
        before, after = eval_outputs(lab, inputs), eval_outputs(lab, rows_of(inputs, others))
        try:
            alone = eval_outputs(lab, rows_of(inputs, slice(row, row + 1)))
        except RuntimeError:  # rows of one size of batch, or of one graph that the model holds, are never asked alone
            return
        again = eval_outputs(lab, inputs)
    for number, (one, replaced, twice) in enumerate(zip(before, after, again, strict=True)):
        first, second, third = _by_row(one, count), _by_row(replaced, count), _by_row(twice, count)
        if first is None or second is None or third is None or difference(first, third) > SAME:
            continue
        answers = [second[row]]
        if len(alone) == len(before) and (single := _by_row(alone[number], 1)) is not None:
            answers += [single[0]] if single[0].shape == first[row].shape else []
        # of what all rows' outputs are: one row's may be 0 by chance, and any rounding is much of that
        scale = first.abs().max().clamp(min=1e-6)
        moved = max(float((first[row] - other).abs().max() / scale) for other in answers)
        if moved > SAME:
            message = (
                f"in evaluation mode a row's outputs depend on the other rows of its batch: they move by {moved:.2g}"
            )
            fix = "look for a view, a softmax or a normalisation over the rows, or an axis taken for another"
            yield Finding("batch-mixing", "error", message, {"moved": moved, "row": row}, fix)
            return


def input_ignored(lab: Lab) -> Iterator[Finding]:
    """A row's outputs move when its own inputs are replaced by another row's, each input by itself."""
    inputs, _ = lab.batch
    count = row_count(inputs)
    if count < 2 or is_random(lab):
        return
    swapped = torch.arange(count, device=lab.program.device).roll(1)
    yield from _edges_ignored(lab, inputs)
    parts = [(name, t) for name, t in leaves(inputs) if t.dim() > 0 and len(t) == count]
    parts = [
        (name, t)
        for name, t in parts
        if t.numel() and not bool((t == t[:1]).all()) and not _is_mask_or_length(t, parts)
    ]

    def ignored(name: str, tensor: Tensor, given: Any = inputs) -> bool:
        try:
            after = eval_outputs(lab, with_leaf(given, name, tensor[swapped]))
        except (RuntimeError, IndexError, ValueError):  # parts that belong together, such as a text and its length
            return False
        before = eval_outputs(lab, given)
        return max((difference(a, b) for a, b in zip(before, after, strict=True)), default=0.0) < 1e-9

    with lab.program.kept(seed=0):
        suspected = [(name, tensor) for name, tensor in parts if ignored(name, tensor)]
        for _ in range(STEPS if suspected else 0):  # a last layer that begins at zero answers the same for all
            plain_step(lab)
        for name, tensor in suspected:
            if not ignored(name, tensor):
                continue
            what = f"input {name!r}" if name else "the input"
            even = standardiser(inputs)(inputs)
            if not ignored(name, dict(leaves(even))[name], even):
                largest = float(tensor.abs().max())
                message = (
                    f"{what} reaches {largest:.3g}: all rows are answered alike, and are not where it is standardised"
                )
                fix = "subtract the training rows' mean and divide by their spread"
                yield Finding("input-scale", "error", message, {"input": name, "largest": largest}, fix)
            else:
                yield Finding(
                    "input-ignored",
                    "error",
                    f"the outputs do not depend on {what}",
                    {"input": name},
                    "use it, or leave it out",
                )


def _edges_ignored(lab: Lab, inputs: Any) -> Iterator[Finding]:
    """A graph's edges, a (2, E) table of its rows' numbers: outputs move where they lead elsewhere."""
    for name, table in edges(inputs):
        elsewhere = torch.stack([table[0], table[1].flip(0)])
        with lab.program.kept(seed=0):
            for _ in range(STEPS):  # a last layer may begin at zero
                plain_step(lab)
            before, after = eval_outputs(lab, inputs), eval_outputs(lab, with_leaf(inputs, name, elsewhere))
        if max((difference(a, b) for a, b in zip(before, after, strict=True)), default=1.0) < 1e-9:
            message = f"the outputs do not depend on where the edges of input {name!r} lead"
            fix = "let rows hear of their neighbours: is a result thrown away on its way?"
            yield Finding("input-ignored", "error", message, {"input": name, "edges": table.shape[1]}, fix)


def _is_mask_or_length(tensor: Tensor, parts: list[tuple[str, Tensor]]) -> bool:
    """What stands beside another input and says only how much of it counts."""
    return len(parts) > 1 and (tensor.dtype == torch.bool or (not tensor.is_floating_point() and tensor.dim() == 1))


def with_leaf(value: Any, path: str, tensor: Tensor) -> Any:
    found = iter([name for name, _ in leaves(value)])
    return mapped(value, lambda old: tensor if next(found) == path else old)


def plain_step(lab: Lab, batch: tuple[Any, Any] | None = None) -> None:
    """Forward, backward and the program's optimiser (Adam where it has none), without its own step."""
    program = lab.program
    optimizer = program.optimizer or spare_optimizer(lab)
    lab.step(batch or lab.first_batch, optimizer, plain=True)


def spare_optimizer(lab: Lab) -> torch.optim.Optimizer:
    return torch.optim.SGD([p for p in lab.program.model.parameters() if p.requires_grad], 1e-2)


def time_leak(lab: Lab) -> Iterator[Finding]:
    """Where `causal` is promised, what comes later is replaced: outputs before must stay."""
    if not lab.program.causal or is_random(lab):
        return
    inputs, targets = lab.batch
    count = row_count(inputs)
    lengths = [t.shape[1] for _, t in leaves(inputs) if t.dim() > 1 and len(t) == count]
    length = max(lengths, default=0)
    if length < 3:
        return
    at = length // 2

    def later(tensor: Tensor) -> Tensor:
        if tensor.dim() < 2 or tensor.shape[1] != length or len(tensor) != count:
            return tensor
        return torch.cat([tensor[:, :at], tensor[:, at:].roll(1, 0)], 1)

    with lab.program.kept(seed=0):
        before, after = eval_outputs(lab, inputs), eval_outputs(lab, mapped(inputs, later))
    for one, other in zip(before, after, strict=True):
        first, second = _in_time(one, count, length), _in_time(other, count, length)
        if first is None or second is None:
            continue
        moved = difference(first[:, :at], second[:, :at])
        if moved > SAME:
            message = f"outputs before position {at} depend on inputs after it: they move by {moved:.2g}"
            yield Finding("time-leak", "error", message, {"position": at, "moved": moved}, "mask what comes later")
            return
    same = [t for _, t in leaves(targets)]
    given = [t for _, t in leaves(inputs) if t.dim() > 1]
    if len(same) == 1 and same[0].dim() == 2 and given and given[0].shape == same[0].shape:
        share = float((given[0] == same[0]).float().mean())
        if share > 0.999:
            message = "each target is the input of its own position: the network is shown what it is asked for"
            yield Finding(
                "target-leak", "error", message, {"share": share}, "targets are the inputs one position later"
            )


def _in_time(tensor: Tensor, count: int, length: int) -> Tensor | None:
    if tensor.dim() >= 2 and tensor.shape[0] == count and tensor.shape[1] == length:
        return tensor
    if tensor.dim() >= 3 and tensor.shape[0] == count and tensor.shape[2] == length:
        return tensor.movedim(2, 1)
    if tensor.shape[0] == count * length:
        return tensor.reshape(count, length, -1)
    return None
