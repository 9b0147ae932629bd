"""What padding does to the rows it follows."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn

from ..finding import Finding, Severity
from .dependence import SAME, STEPS, difference, eval_outputs, is_random, plain_step, with_leaf
from .experiment import CLEAR, Change
from .lab import PROBED, Lab
from .nested import leaves, mapped, row_count, rows_of
from .sample import Sample

__all__ = ["hidden_words", "padding_leak", "padding_value"]

MOVED = 0.2  # of the outputs' spread, where the model is given a mask or lengths: the edge of a convolution moves 0.06
HARM = 0.02  # of all there is to learn; one network on the same rows, so that little of it is chance


def hidden_words(lab: Lab) -> Iterator[Finding]:
    """The words of a row, other than its padding, move its outputs: each is replaced by one of another row."""
    inputs, _ = lab.batch
    count = row_count(inputs)
    padded = [
        (n, t)
        for n, t in leaves(inputs)
        if t.dim() == 2 and len(t) == count and not t.is_floating_point() and padding_value(t) is not None
    ]
    if len(padded) != 1 or is_random(lab):
        return
    name, tensor = padded[0]
    value = padding_value(tensor)
    inside = tensor != value
    changed = tensor.clone()
    changed[inside] = tensor[inside].roll(7)
    moves = []
    with lab.program.kept(seed=0):
        for steps in (0, STEPS):
            for _ in range(steps):
                plain_step(lab)
            before, after = eval_outputs(lab, inputs), eval_outputs(lab, with_leaf(inputs, name, changed))
            moves += [difference(a, b) for a, b in zip(before, after, strict=True)]
    if max(moves, default=1.0) < 1e-9:
        message = f"the outputs do not depend on the words of input {name!r}, only on its padding"
        yield Finding(
            "input-ignored",
            "error",
            message,
            {"input": name},
            "a mask marks what is left out in one place, what counts in another",
        )


def padding_leak(lab: Lab) -> Iterator[Finding]:
    """Rows that end in padding: a row without it must be answered the same; and the same training without any."""
    if not _of_whole_rows(lab) or is_random(lab):
        return
    inputs, trained = lab.batch[0], True
    padded = _padded(inputs)
    if not padded and lab.val is not None and len(lab.val):  # in batches of like lengths, or one row each
        inputs, trained = lab.part(lab.val.batches[0], PROBED)[0], False
        padded = _padded(inputs)
    if len(padded) != 1:
        return
    name, tensor = padded[0]
    lengths = _lengths(tensor, padding_value(tensor))
    row = int(lengths.argmin())
    keep = max(1, int(lengths[row]))
    if keep >= tensor.shape[1]:
        return
    with lab.program.kept(seed=0):
        for _ in range(STEPS):
            plain_step(lab)
        within = eval_outputs(lab, inputs)
        try:
            alone = eval_outputs(lab, _cut(rows_of(inputs, slice(row, row + 1)), tensor.shape[1], keep))
        except (RuntimeError, IndexError, ValueError):  # a network for one length alone
            return
    pairs = [
        (full[row], short[0]) for full, short in zip(within, alone, strict=True) if full.shape[1:] == short.shape[1:]
    ]
    moves = max((difference(full, short) for full, short in pairs), default=0.0)
    if moves <= SAME:
        return
    if not trained:
        yield from _only_held_out(lab, name, moves)
        return
    given = _tells_lengths(inputs, lengths)
    evidence: dict[str, Any] = {"moved": moves, "length": keep, "width": tensor.shape[1], "given": given}
    message = f"padding changes the answer of the row it follows: outputs move by {moves:.2g}"
    told = given or _known_padding(lab, tensor)
    message += ", though the model is told where it begins" if told else ""
    severity: Severity = "error"
    if not (given and moves > MOVED):
        # Much padded data is learned well with its padding in view, so that the harm decides.
        bare = lab.outcome(_without_padding(lab, name))
        gain = evidence["gain_without"] = lab.shuffled.gain(bare)
        least = max(HARM, 2 * lab.shuffled.noise())
        harm = lab.shuffled.clears(bare, share=0.3) or gain > least if told else gain > CLEAR
        severity = "error" if harm else "warning"
        message += f"; without any the program learns {gain:.0%} more of what there is" if harm else ""
    yield Finding("padding-leak", severity, message, evidence, "mask the padding, or pack the sequences")


def _of_whole_rows(lab: Lab) -> bool:
    """Whether an answer, of one number or several, is of a whole row, not of a position."""
    targets = lab.batch[1]
    several = lab.answer.form == "numbers" and isinstance(targets, Tensor) and targets.dim() == 2
    lengths = [t.shape[1] for _, t in leaves(lab.batch[0]) if t.dim() >= 2]
    return lab.answer.form != "unknown" and (lab.answer.one_a_row or (several and targets.shape[1] not in lengths))


def _known_padding(lab: Lab, tensor: Tensor) -> bool:
    """Whether the model has vectors of words of which this padding has none of its own."""
    tables = [m for m in lab.program.model.modules() if isinstance(m, nn.Embedding | nn.EmbeddingBag)]
    return not tensor.is_floating_point() and any(m.padding_idx == padding_value(tensor) for m in tables)


def _only_held_out(lab: Lab, name: str, moves: float) -> Iterator[Finding]:
    """Padding that held-out rows have and training rows have not: the same network, judged without it."""
    parts = _by_length(lab.held_out, name, 128, torch.arange(len(lab.held_out)))
    gain = lab.own.gain(lab.outcome(Change("held-out rows without their padding", held_out=parts)))
    severity: Severity = "error" if gain > HARM else "warning"
    message = f"held-out rows are padded and training rows hardly; padding moves outputs by {moves:.2g}"
    if severity == "error":
        message += f"; without it the same network knows {gain:.0%} more"
    evidence = {"moved": moves, "gain_without": gain}
    yield Finding("padding-leak", severity, message, evidence, "mask the padding, or pack the sequences")


def _padded(inputs: Any) -> list[tuple[str, Tensor]]:
    """Every input whose rows end in padding."""
    count = row_count(inputs)
    return [
        (name, t) for name, t in leaves(inputs) if t.dim() >= 2 and len(t) == count and padding_value(t) is not None
    ]


def _tells_lengths(inputs: Any, lengths: Tensor) -> bool:
    """Whether another input says how long each row is, or which of its entries count."""
    for _, tensor in leaves(inputs):
        marks = tensor.dim() == 2 and bool(((tensor == 0) | (tensor == 1)).all()) and len(tensor) == len(lengths)
        counted = tensor.sum(1) if marks else tensor
        if counted.shape == lengths.shape and bool((counted == lengths).float().mean() > 0.9):
            return True
    return False


def _cut(inputs: Any, width: int, keep: int) -> Any:
    """Inputs of rows that are `width` long with their first `keep` entries alone."""
    return mapped(inputs, lambda part: part[:, :keep] if part.dim() >= 2 and part.shape[1] == width else part)


def _without_padding(lab: Lab, name: str) -> Change:
    """The same rows in as large batches of one length each, in random order."""
    size = max(lab.train.sizes)
    generator = torch.Generator().manual_seed(0)

    def batches() -> Iterator[tuple[Any, Any]]:
        parts = _by_length(lab.train, name, size, torch.randperm(len(lab.train), generator=generator))
        for number in torch.randperm(len(parts), generator=generator).tolist():
            yield parts[number]

    held_out = _by_length(lab.held_out, name, 128, torch.arange(len(lab.held_out)))
    return Change("rows without their padding", batches=batches, held_out=held_out)


def _by_length(sample: Sample, name: str, size: int, order: Tensor) -> list[tuple[Any, Any]]:
    tensor = dict(leaves(sample.inputs))[name]
    lengths = _lengths(tensor, padding_value(tensor)).clamp(min=1)[order]
    parts = []
    for length in lengths.unique().tolist():
        for rows in order[lengths == length].split(size):
            inputs = _cut(rows_of(sample.inputs, rows), tensor.shape[1], length)
            parts.append((inputs, rows_of(sample.targets, rows)))
    return parts


def padding_value(tensor: Tensor) -> float | None:
    """The value with which rows end, where rows end with 0 or one token at different lengths; else None."""
    if tensor.dtype == torch.bool:
        return None
    if tensor.is_floating_point() and (tensor.dim() != 3):
        return None  # (B, D) are features, (B, C, H, W) pictures
    flat = tensor.reshape(*tensor.shape[:2], -1)
    last = flat[:, -1, 0]
    values, counts = last.unique(return_counts=True)
    value = float(values[counts.argmax()])
    if tensor.is_floating_point() and value != 0:
        return None
    lengths = _lengths(tensor, value)
    padded = lengths < tensor.shape[1]
    if float(padded.float().mean()) < 0.3 or len(lengths[padded].unique()) < 3:
        return None
    inside = torch.cat([flat[row, : max(0, int(length) - 1), 0] for row, length in enumerate(lengths)])
    if tensor.is_floating_point():
        return value
    return value if float((inside == value).float().mean()) < 0.02 else None


def _lengths(tensor: Tensor, value: float | None) -> Tensor:
    """(B,): where the padding of each row begins."""
    flat = tensor.reshape(*tensor.shape[:2], -1)
    kept: Tensor = torch.ne(flat, value if value is not None else 0).any(2)
    places = torch.arange(1, tensor.shape[1] + 1, device=tensor.device)
    return (kept * places).amax(1)
