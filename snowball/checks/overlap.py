"""Held-out rows that were trained on: copies, near copies, and pieces of one record."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .control import bag
from .lab import Lab
from .nested import leaves
from .padding import padding_value
from .sample import Sample, row_contents
from .split import too_near

__all__ = ["split_overlap"]

MOVED = 3  # steps that a copy of a sequence may begin earlier or later


def split_overlap(lab: Lab) -> Iterator[Finding]:
    """Held-out rows that were trained on, exactly or nearly."""
    val = lab.val
    if val is None or len(val) < 8:
        return
    contents, asked = row_contents(val.inputs), _asked(val).tolist()
    trained = zip(row_contents(lab.train.inputs), _asked(lab.train).tolist(), strict=False)
    train_rows = [row for row, there in trained if there]
    val_rows = [row for row, there in zip(contents, asked, strict=False) if there]
    if not train_rows or not val_rows:
        return
    known, seen = set(train_rows), dict[bytes, int]()
    for row in val_rows:
        seen[row] = seen.get(row, 0) + 1
    shared = sum(row in known for row in val_rows)
    within = sum(count - 1 for count in seen.values())
    repeated = 1 - len(known) / max(1, len(train_rows))
    natural = max(within / len(val_rows), repeated)
    rich = zip(contents, _rich_rows(val.inputs, len(contents)), asked, strict=False)
    copied = sum(row in known for row, holds_much, there in rich if holds_much and there)
    evidence = {"rows": shared, "of": len(val_rows), "repeated_within": natural}
    usual = natural * len(val_rows)  # short rows are equal by chance, within a split as well
    beyond = shared > 3 * usual + 4 * max(1.0, usual) ** 0.5
    if shared > max(1, 0.01 * len(val_rows)) and (beyond or copied > 0.1 * len(val_rows)):
        message = (
            f"{shared} of {len(val_rows)} held-out rows are training rows as well: their score is memory, not skill"
        )
        yield Finding(
            "split-overlap", "error", message, evidence, "split once, before rows are copied, augmented or balanced"
        )
        return
    for look in (_shared_windows, _near_overlap):
        if found := list(look(lab, val)):
            yield found[0]
            return


def _asked(sample: Sample) -> Tensor:
    """(N,) bool: rows that have an answer; of one graph, each split may ask for other nodes by labels below 0."""
    targets = sample.targets
    if isinstance(targets, Tensor) and targets.shape == (len(sample),) and not targets.is_floating_point():
        signs = bool((targets.abs() == 1).all())  # as hinge losses ask
        return (targets >= 0).cpu() | signs
    return torch.ones(len(sample), dtype=torch.bool)


def _rich_rows(inputs: Any, count: int) -> list[bool]:
    """Which rows hold so much that two are equal by copying alone: many numbers, or as many tokens as 32 bits say."""
    found = torch.zeros(count, dtype=torch.bool)
    for _, tensor in leaves(inputs):
        if tensor.dim() < 2 or len(tensor) != count:
            continue
        flat = tensor.reshape(count, -1).cpu()
        if tensor.is_floating_point() and flat.shape[1] >= 4 and flat.unique().numel() > 1000:
            moves = flat.std(1) > 0.05 * flat.std()  # who stands still, but for rounding, does as others do
            found |= moves & ((flat.sort(1).values.diff(dim=1) != 0).sum(1) >= 3)
        elif not tensor.is_floating_point():
            bits = math.log2(max(2, min(len(flat.unique()), 16)))
            found |= (flat != flat[:, -1:]).sum(1) * bits >= 32
    return found.tolist()


def _shared_windows(lab: Lab, val: Sample) -> Iterator[Finding]:
    """Held-out sequences of which a long piece stands in the training rows: windows of one record, dealt to splits."""
    pairs = zip(leaves(lab.train.inputs), leaves(val.inputs), strict=True)
    for (_, one), (_, two) in pairs:
        if one.dim() == two.dim() == 3 and one.shape[1] < one.shape[2]:  # (N, C, T)
            one, two = one.transpose(1, 2), two.transpose(1, 2)
        if one.dim() not in (2, 3) or one.shape[1:] != two.shape[1:] or one.shape[1] < 12 or len(one) != len(lab.train):
            continue
        if one.dim() == 2 and one.is_floating_point() and not _smooth(one):
            continue
        if not one.is_floating_point() and padding_value(one) is not None:  # texts of their own, which share phrases
            continue
        size = max(12, one.shape[1] // 2) if not one.is_floating_point() else max(4, one.shape[1] // 2)
        known = {piece for row in one for piece in _pieces(row, size)}
        shared = sum(any(piece in known and _tells(piece, size) for piece in _pieces(row, size)) for row in two)
        if shared > max(2, 0.2 * len(two)):
            message = (
                f"{shared} of {len(two)} held-out sequences share a piece of {size} steps with a training sequence"
            )
            yield Finding(
                "split-overlap",
                "error",
                message,
                {"rows": shared, "of": len(two), "steps": size},
                "split the record by time first, then cut windows",
            )
            return


def _smooth(tensor: Tensor) -> bool:
    """Whether neighbouring columns are like one another: steps of a series, not features."""
    flat = tensor - tensor.mean()
    return float((flat[:, 1:] * flat[:, :-1]).mean() / flat.square().mean().clamp(min=1e-12)) > 0.5


def _pieces(row: Tensor, size: int) -> list[bytes]:
    """Every contiguous piece of a sequence, as bytes."""
    content = row.detach().cpu().contiguous()
    width = content[0].numel() * content.element_size()
    data = content.numpy().tobytes()
    return [data[at * width : (at + size) * width] for at in range(len(content) - size + 1)]


def _tells(piece: bytes, size: int) -> bool:
    """Whether a piece holds enough to be met by copying alone: many different steps, and none of padding for most."""
    width = len(piece) // size
    steps = [piece[at * width : (at + 1) * width] for at in range(size)]
    return len(set(steps)) >= size // 3 and max(map(steps.count, set(steps))) <= 0.4 * size


def _copied_before(lab: Lab, val: Sample, apart: Tensor, rows: Tensor, nearer: float) -> Iterator[Finding]:
    """Rows that were copied with a little noise before the split, so that copies lie in both: the nearest training row
    is far nearer than a fiftieth of all of them are, and has the very same answer.

    `apart` (M, N): how far held-out `rows` (M,) are from training rows; `nearer`: the ratio of distances.
    """
    targets, held = lab.train.targets, val.targets
    if not (_asked(lab.train).all() and _asked(val).all()):
        return
    if not isinstance(targets, Tensor) or not isinstance(held, Tensor) or targets.dim() == 0:
        return
    if apart.shape[1] < 200 or not len(apart):
        return
    several = max(20, apart.shape[1] // 50)
    near, places = apart.topk(several, 1, largest=False)
    ratio = near[:, 0] / near[:, -1].clamp(min=1e-12)
    copies = (ratio < nearer) & (near[:, 0] > 0)
    share = float(copies.float().mean())
    if share < 0.2:
        return
    same = [torch.equal(held[rows[row]], targets[places[row, 0]]) for row in copies.nonzero()[:, 0].tolist()]
    many = targets.is_floating_point() and targets.unique().numel() > 20  # equal answers are no chance
    if sum(same) > (0.9 if many else 0.98) * len(same) and (many or share > 0.5):
        message = (
            f"{share:.0%} of held-out rows have the answer of a training row that is far nearer than others: a copy"
        )
        fix = "split once, before rows are copied, augmented or balanced"
        yield Finding("split-overlap", "error", message, {"share": share}, fix)


def _moved_copies(lab: Lab, val: Sample, one: Tensor, two: Tensor) -> Iterator[Finding]:
    """The same of sequences (N, T, D) that begin a little earlier or later, such as recordings: compared where each
    fits best.

    Of spoken digits, three copies each that are moved by up to 3 of 32 frames, made louder and noisier, the nearest
    is at 0.25 of the distance of a fiftieth, of recordings of their own at 0.68, and at 0.53 for one in twenty.
    """
    if one.dim() != 3 or one.shape[1] < 4 * MOVED or one.shape[1:] != two.shape[1:]:
        return
    one, two = one[:1500], two[:300]
    middle = two[:, MOVED:-MOVED].flatten(1)
    apart = torch.full((len(two), len(one)), math.inf)
    for begin in range(2 * MOVED + 1):
        moved = one[:, begin : begin + one.shape[1] - 2 * MOVED].flatten(1)
        apart = torch.minimum(apart, torch.cdist(middle, moved))
    yield from _copied_before(lab, val, apart, torch.arange(len(two)), nearer=0.4)


def _words_copied_before(lab: Lab, val: Sample) -> Iterator[Finding]:
    """The same of texts: which words they hold, in whatever order."""
    held = [
        [t for _, t in leaves(sample.inputs) if t.dim() == 2 and len(t) == len(sample)] for sample in (lab.train, val)
    ]
    if [len(tensors) for tensors in held] != [1, 1]:
        return
    one, two = (torch.from_numpy(bag(tensor)) for (tensor,) in held)
    rich = (two.sum(1) >= 6).nonzero()[:, 0][:600]
    if len(rich) >= 100:
        yield from _copied_before(lab, val, torch.cdist(two[rich], one), rich, nearer=0.67)


def _of_one_origin(lab: Lab, val: Sample, one: Tensor, two: Tensor) -> Iterator[Finding]:
    """Rows that come a few of one origin, such as visits of a patient, dealt to both splits.

    The nearest training row is far nearer than distances of others let expect, and has the very same answer, which
    others near by have not.
    """
    targets, held = lab.train.targets, val.targets
    if not isinstance(targets, Tensor) or not isinstance(held, Tensor) or len(two) < 60 or len(one) < 400:
        return
    if len(targets) < len(one) or targets.dim() == 0 or targets[0].numel() != 1 or not _asked(lab.train).all():
        return
    if not _asked(val).all():
        return
    near, places = too_near(one, two)
    flat, asked = targets.reshape(len(targets)), held.reshape(len(held))[: len(two), None]
    same = (flat[places] == asked).float()
    nearest, beside = float(same[:, 0].mean()), float(same[:, 10:20].mean())
    if 0 < near < 0.7 and nearest > 0.9 and nearest - beside > 0.15:
        message = (
            f"held-out rows lie near single training rows, at {near:.0%} of the distance that others have,"
            f" and {nearest:.0%} have their answer ({beside:.0%} that of rows a little farther)"
        )
        evidence = {"distance": near, "same_answer": nearest, "same_answer_beside": beside}
        yield Finding("split-overlap", "error", message, evidence, "rows of one origin belong in one split")


def _near_overlap(lab: Lab, val: Sample) -> Iterator[Finding]:
    """Held-out rows whose nearest training row is far nearer than training rows are to one another."""
    floats = [t for _, t in leaves(lab.train.inputs) if t.is_floating_point() and len(t) == len(lab.train)]
    others = [t for _, t in leaves(val.inputs) if t.is_floating_point() and len(t) == len(val)]
    if not floats:
        yield from _words_copied_before(lab, val)
    if len(floats) != 1 or len(others) != 1 or floats[0].shape[1:] != others[0].shape[1:]:
        return
    one, two = floats[0].reshape(len(lab.train), -1), others[0].reshape(len(val), -1)
    one, two = one[_asked(lab.train)][:3000], two[_asked(val)][:600]
    if one.shape[1] < 4:
        return
    spread = one.std(0).clamp(min=1e-6) if one.shape[1] < 64 else torch.ones(())
    one, two = one / spread, two / spread
    inside = torch.cdist(one[: len(two)], one)
    inside[torch.arange(len(inside)), torch.arange(len(inside))] = math.inf
    apart = torch.cdist(two, one)
    usual, near = inside.min(1).values, apart.min(1).values
    yield from _copied_before(lab, val, apart, torch.arange(len(two)), nearer=0.25)
    yield from _moved_copies(lab, val, floats[0], others[0])
    if one.shape[1] < 8:
        return
    yield from _of_one_origin(lab, val, one, two)
    bound = 0.4 * float(usual.quantile(0.05))
    share, share_inside = float((near < bound).float().mean()), float((usual < bound).float().mean())
    if bound > 0 and share > 0.05 and share > 4 * share_inside:
        message = f"{share:.0%} of held-out rows are nearly a training row ({share_inside:.0%} of training rows are so)"
        yield Finding(
            "split-overlap",
            "error",
            message,
            {"share": share, "share_within": share_inside},
            "rows of one origin belong in one split",
        )
