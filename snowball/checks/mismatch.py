"""Held-out rows that were prepared otherwise than the rows a program learns from."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import torch
from torch import Tensor

from ..finding import Finding
from .answer import Answer
from .draws import is_augmented
from .experiment import CLEAR, Change
from .lab import Lab
from .nested import leaves, mapped, rows_of
from .scale import by_channel

__all__ = ["other_order", "other_scale", "other_words", "row_by_row"]

ROWS = 400  # held-out rows by which each other order is judged
COMMON = 0.05  # of rows: words by which a network goes
LEAST = 0.02  # of all there is to know, for rows that are seen to be prepared otherwise
RATIO, SHIFT = 1.5, 0.5  # of spreads: splits that were drawn from one pool are far nearer


def other_scale(lab: Lab) -> Iterator[Finding]:
    """Held-out inputs of another mean or spread: the same network, judged with them brought to the training rows'."""
    val = lab.val
    if val is None or len(val) < 30:
        return
    others = dict(leaves(val.inputs))
    moved: dict[str, tuple[Tensor, Tensor]] = {}
    for name, tensor in leaves(lab.train.inputs):
        other = others.get(name)
        if other is None or not tensor.is_floating_point() or tensor.dim() < 2 or len(tensor) != len(lab.train):
            continue
        one, two = by_channel(tensor), by_channel(other)
        if one.shape[1] != two.shape[1]:
            continue
        alive = (one.std(0) > 1e-6) & (two.std(0) > 1e-6)
        if not alive.any():
            continue
        factor = torch.where(alive, one.std(0) / two.std(0).clamp(min=1e-12), 1.0)
        moves = torch.where(alive, one.mean(0) - two.mean(0) * factor, 0.0)
        shift = (one.mean(0) - two.mean(0)).abs()[alive] / one.std(0)[alive]
        ratio = torch.maximum(factor, 1 / factor)[alive]
        if float(ratio.median()) > RATIO or float(shift.median()) > SHIFT:
            axis = [1] * other.dim()
            axis[1 if other.dim() != 3 or other.shape[1] == len(factor) else 2] = len(factor)
            moved[name] = factor.reshape(axis), moves.reshape(axis)
    if not moved:
        return

    def brought(inputs: Any) -> Any:
        names = iter([name for name, _ in leaves(inputs)])

        def change(tensor: Tensor) -> Tensor:
            name = next(names)
            return tensor * moved[name][0] + moved[name][1] if name in moved else tensor

        return mapped(inputs, change)

    held_out = [(brought(inputs), targets) for inputs, targets in val.batches]
    gain = lab.own.gain(lab.outcome(Change("held-out inputs at the training rows' scale", held_out=held_out)))
    if gain > CLEAR / 2:
        factors = {name: float(factor.median()) for name, (factor, _) in moved.items()}
        message = (
            "held-out inputs have another mean or spread than training inputs; brought to theirs, the same network"
            f" knows {gain:.0%} more"
        )
        yield Finding("train-val-mismatch", "error", message, {"factors": factors, "gain": gain}, "prepare both alike")


def row_by_row(lab: Lab) -> Iterator[Finding]:
    """Rows of one split that are each brought to one mean and spread, length or range, where the other split's are not.

    The same network is judged with held-out rows brought there too, or trained on rows that are.
    """
    if lab.val is None or len(lab.val) < 30:
        return
    others = dict(leaves(lab.val.inputs))
    for name, tensor in leaves(lab.train.inputs):
        other = others.get(name)
        if other is None or not tensor.is_floating_point() or tensor.dim() < 2 or tensor[0].numel() < 8:
            continue
        if len(tensor) != len(lab.train) or other.shape[1:] != tensor.shape[1:]:
            continue
        for what, bring in BROUGHT.items():
            here, there = (float(_unmoved(t, bring).float().mean()) for t in (tensor, other))
            if min(here, there) > 0.5 or max(here, there) < 0.99 or (there > here and is_augmented(lab)):
                continue
            change = partial(_changed, name=name, bring=bring)
            if here > there:
                parts = [(change(inputs), targets) for inputs, targets in lab.val.batches]
                gain = lab.own.gain(lab.outcome(Change(f"held-out rows each {what}", held_out=parts)))
            else:
                gain = lab.own.gain(lab.outcome(Change(f"training rows each {what}", inputs=change)))
            if gain > LEAST:
                where = ("training", "held-out") if here > there else ("held-out", "training")
                message = (
                    f"{where[0]} rows are each {what}, {where[1]} rows are not; where all are, {gain:.0%} more is known"
                )
                evidence = {"training": here, "held_out": there, "gain": gain}
                yield Finding("train-val-mismatch", "error", message, evidence, "prepare both alike")
            return


def _flat(tensor: Tensor) -> Tensor:
    return tensor.reshape(len(tensor), -1)


def _per_row(tensor: Tensor, numbers: Tensor) -> Tensor:
    """(B,) numbers, to be taken from or multiplied with (B, ...)."""
    return numbers.reshape(-1, *[1] * (tensor.dim() - 1))


def _standardised(tensor: Tensor) -> Tensor:
    mean, spread = _flat(tensor).mean(1), _flat(tensor).std(1).clamp(min=1e-12)
    return (tensor - _per_row(tensor, mean)) / _per_row(tensor, spread)


def _of_length_one(tensor: Tensor) -> Tensor:
    return tensor / _per_row(tensor, _flat(tensor).norm(dim=1).clamp(min=1e-12))


def _within_0_and_1(tensor: Tensor) -> Tensor:
    low, high = _flat(tensor).amin(1), _flat(tensor).amax(1)
    return (tensor - _per_row(tensor, low)) / _per_row(tensor, (high - low).clamp(min=1e-12))


BROUGHT: dict[str, Callable[[Tensor], Tensor]] = {
    "brought to mean 0 and deviation 1": _standardised,
    "brought to length 1": _of_length_one,
    "stretched to 0 to 1": _within_0_and_1,
}


def _unmoved(tensor: Tensor, bring: Callable[[Tensor], Tensor]) -> Tensor:
    """(B,): whether rows are as they would be brought already; those that are constant are not."""
    moved = (_flat(bring(tensor)) - _flat(tensor)).abs().amax(1)
    return (moved < 1e-2 * _flat(tensor).abs().amax(1)) & (_flat(tensor).std(1) > 1e-6)


def _changed(inputs: Any, name: str, bring: Callable[[Tensor], Tensor]) -> Any:
    """Inputs of which one, by its name, is brought somewhere."""
    names = iter([found for found, _ in leaves(inputs)])
    return mapped(inputs, lambda tensor: bring(tensor) if next(names) == name else tensor)


def other_words(lab: Lab) -> Iterator[Finding]:
    """Words that many training rows hold and hardly a held-out row, and the reverse, as where one split is folded.

    Looked for where the network knows its training rows much better than held-out ones.
    """
    val, own = lab.val, lab.own
    if val is None or min(len(val), len(lab.train)) < 100 or not own.train_score - own.score > CLEAR:
        return
    tables = [
        [t for _, t in leaves(sample.inputs) if t.dim() == 2 and not t.is_floating_point() and len(t) == len(sample)]
        for sample in (lab.train, val)
    ]
    if len(tables[0]) != 1 or len(tables[1]) != 1 or int(tables[0][0].max()) < 32:
        return
    here, there = (_shares_of_words(table[0]) for table in tables)
    gone, new = (
        sorted(word for word, share in one.items() if share > COMMON and other.get(word, 0.0) < share / 10)
        for one, other in ((here, there), (there, here))
    )
    if gone and new:
        message = (
            f"{len(gone)} words of over {COMMON:.0%} of training rows are hardly in held-out ones, and {len(new)} the"
            f" other way round; the network scores {own.train_score:.2f} on training rows and {own.score:.2f} on others"
        )
        evidence = {"gone": gone[:10], "new": new[:10], "train": own.train_score, "held_out": own.score}
        fix = "prepare texts of both in one function: case, spelling, vocabulary"
        yield Finding("train-val-mismatch", "error", message, evidence, fix)


def _shares_of_words(tokens: Tensor) -> dict[int, float]:
    """The share of rows (N, L) that hold each word."""
    pairs = torch.stack([torch.arange(len(tokens)).unsqueeze(1).expand_as(tokens), tokens], -1).reshape(-1, 2)
    words, counts = pairs.unique(dim=0)[:, 1].unique(return_counts=True)
    return dict(zip(words.tolist(), (counts / len(tokens)).tolist(), strict=True))


def other_order(lab: Lab) -> Iterator[Finding]:
    """Held-out pictures with their channels, or their sides, the other way round: the same network knows them better.

    Looked for where the network knows its training rows much better than held-out ones.
    """
    val, own = lab.val, lab.own
    if val is None or len(val) < 30 or own.answer is None or own.answer.form == "unknown":
        return
    if not own.train_score - own.score > CLEAR or not own.answer.one_a_row:
        return
    pictures = [(name, t) for name, t in leaves(val.inputs) if t.dim() == 4 and t.is_floating_point()]
    if len(pictures) != 1:
        return
    name, shape = pictures[0][0], pictures[0][1].shape
    orders: dict[str, Callable[[Tensor], Tensor]] = {"as they are": lambda t: t}
    for axis, word in ((1, "channels"), (3, "channels"), (2, "rows"), (3, "columns")):
        if (word == "channels") == (shape[axis] == 3):
            orders[f"{word} of each picture the other way round"] = partial(torch.flip, dims=[axis])
    if shape[2] == shape[3] > 3:
        orders["rows and columns of each picture exchanged"] = partial(torch.transpose, dim0=2, dim1=3)
    rows = slice(0, ROWS)
    inputs, targets = rows_of(val.inputs, rows), rows_of(val.targets, rows)

    def changed(change: Callable[[Tensor], Tensor]) -> Any:
        names = iter([found for found, _ in leaves(inputs)])
        return mapped(inputs, lambda t: change(t).contiguous() if next(names) == name else t)

    held_out = [(changed(change), targets) for change in orders.values()]
    answer = lab.outcome(Change("held-out pictures in other orders", held_out=held_out)).answer
    if answer is None or answer.form != own.answer.form or len(answer.labels) % len(orders):
        return
    parts = zip(answer.scores.chunk(len(orders)), answer.labels.chunk(len(orders)), strict=True)
    found = [Answer(answer.form, scores, labels, answer.path, True, answer.signs).score() for scores, labels in parts]
    scores = dict(zip(orders, found, strict=True))
    best = max(scores, key=lambda order: scores[order])
    if scores[best] - scores["as they are"] > CLEAR * max(1e-6, 1 - own.chance):
        message = (
            f"with the {best} the same network scores {scores[best]:.2f} on held-out rows, as they are"
            f" {scores['as they are']:.2f}"
        )
        yield Finding("train-val-mismatch", "error", message, {"scores": scores}, "read both in the same way")
