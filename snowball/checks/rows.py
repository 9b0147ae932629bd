"""Checks of the rows that loaders give: constant, in order, rare or out of scale."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..finding import Finding, Severity
from .experiment import CLEAR, Change
from .lab import Lab
from .loss import given_batch, loss_of, replaced
from .nested import leaves, rows_of
from .scale import by_channel, standardiser
from .split import rows_table

__all__ = ["class_imbalance", "constant_input", "input_scale", "lighter", "unshuffled", "weighs_the_rare_less"]

LEARNED = 0.3  # of what there is to learn
RESIDUE = 1e-9  # of the others' spread: of numbers of 32 bits rounding is 1e-7 of themselves


def constant_input(lab: Lab) -> Iterator[Finding]:
    """Inputs that are the same in all rows tell nothing."""
    for name, tensor in leaves(lab.train.inputs):
        if tensor.dim() == 0 or len(tensor) != len(lab.train) or len(tensor) < 8 or tensor.dtype == torch.bool:
            continue
        if bool((tensor == tensor[:1]).all()):
            what = f"input {name!r}" if name else "the input"
            yield Finding(
                "constant-input",
                "error",
                f"{what} is the same in all {len(tensor)} training rows",
                {"input": name},
                "look at how rows are read",
            )
            return
        if _same_in_batches(tensor, lab.train.sizes):
            message = "the rows of a batch are all the same, though batches differ"
            fix = "give each row a copy: what a data set fills in place is the same memory in every row"
            yield Finding("constant-input", "error", message, {"input": name}, fix)
            return
        if tensor.is_floating_point() and tensor.dim() > 2 and (empty := _empty_channels(tensor)):
            message = f"channel {empty[0]} of the input is 0 throughout, in all {len(tensor)} training rows"
            fix = "look at what clips, rounds or fills it before it gets here"
            yield Finding("constant-input", "error", message, {"input": name, "channels": empty}, fix)
            return
        if tensor.is_floating_point() and tensor.dim() == 2 and (residue := _residues(tensor)):
            message = (
                f"feature {residue[0]} of the input varies by rounding alone, by under {RESIDUE:g} of what others do"
            )
            fix = "look at what makes it: the sine of whole turns is such a one"
            yield Finding("constant-input", "error", message, {"input": name, "features": residue}, fix)
            return
        if tensor.is_floating_point() and _mostly_constant(tensor):
            flat = by_channel(tensor)
            places = (flat == flat[:1]).all(0).nonzero()[:, 0].tolist()
            message = f"{len(places)} of {flat.shape[1]} features are the same in all rows: {places[:10]}"
            fix = "look at what clips, rounds or fills them before they get here"
            yield Finding("constant-input", "error", message, {"input": name, "features": places}, fix)
            return
        flat = tensor.reshape(len(tensor), -1)
        different = len(flat.unique(dim=0)) if flat.shape[1] <= 20000 else len(flat)
        if (
            tensor.is_floating_point()
            and len(flat) >= 50
            and flat.shape[1] > 4
            and different <= max(1, len(flat) // 50)
        ):
            message = f"{len(flat)} training rows hold only {different} different inputs"
            few = {"different": different, "rows": len(flat)}
            # a few states that are met again and again are learned well; rows that were lost are not
            states = different > len(flat) // 200 or lab.own.learned() > LEARNED
            severity: Severity = "warning" if states else "error"
            yield Finding("constant-input", severity, message, few, "look at how rows are read")
            return


def _residues(table: Tensor) -> list[int]:
    """Columns of (N, D) that are not constant, but vary by far less than the others do."""
    if table.shape[1] < 3:
        return []
    spread = table.double().std(0)
    usual = spread[spread > 0].median() if bool((spread > 0).any()) else spread.sum()
    found: list[int] = ((spread > 0) & (spread < RESIDUE * usual)).nonzero()[:, 0].tolist()
    return found


def _same_in_batches(tensor: Tensor, sizes: tuple[int, ...]) -> bool:
    """Whether every batch of four rows or more is one row again and again."""
    large = [batch for batch in tensor.split(list(sizes)) if len(batch) >= 4]
    return bool(large) and all(bool((batch == batch[:1]).all()) for batch in large)


def _empty_channels(tensor: Tensor) -> list[int]:
    """Of several channels that rows have, those that are 0 everywhere, where all others are seldom 0; a picture's
    border is 0 as well, but then much of the rest is."""
    channels = by_channel(tensor)
    if not 2 <= channels.shape[1] <= 64:
        return []
    empty = (channels == 0).all(0)
    lively = (channels != 0).float().mean(0)[~empty] > 0.5
    return empty.nonzero()[:, 0].tolist() if len(lively) and bool(lively.all()) else []


def _mostly_constant(tensor: Tensor) -> bool:
    """Whether a third of a table's features are constant: more than kinds that never came, or borders of a picture."""
    if tensor.dim() not in (2, 3) or bool(((tensor == 0) | (tensor == 1)).all()):  # marks of kinds, some never met
        return False
    flat = by_channel(tensor)
    return 3 <= flat.shape[1] <= 40 and 3 * int((flat == flat[:1]).all(0).sum()) >= max(6, flat.shape[1])


def input_scale(lab: Lab) -> Iterator[Finding]:
    """Inputs far from size 1, or features of very different sizes: the same training on standardised inputs."""
    floats = [
        (n, t)
        for n, t in leaves(lab.train.inputs)
        if t.is_floating_point() and t.dim() >= 2 and len(t) == len(lab.train)
    ]
    suspicious = {}
    for name, tensor in floats:
        flat = by_channel(tensor)
        spread, mean = flat.std(0), flat.mean(0).abs()
        used = spread[spread > 1e-12]
        if not len(used):
            continue
        largest = float(torch.maximum(used.max(), mean.max()))
        # pixels at a picture's border hardly ever change
        smallest = float(used.quantile(0.05 if len(used) <= 32 else 0.25))
        ratio = float(used.max()) / max(smallest, 1e-12) if tensor.dim() == 2 else 1.0
        off_centre = float((mean[spread > 1e-12] / used).median())
        if largest > 8 or float(used.max()) < 0.05 or ratio > 30 or off_centre > 5:
            suspicious[name] = {
                "largest": largest,
                "smallest_spread": smallest,
                "ratio_of_spreads": ratio,
                "mean_over_spread": off_centre,
            }
    if not suspicious:
        return

    try:
        own, other = lab.own, lab.outcome(Change("standardised inputs", inputs=standardiser(lab.train.inputs)))
    except IndexError:  # it looks some of the numbers up
        return
    gain = own.gain(other)
    evidence = {"inputs": suspicious, "learned": own.learned(), "learned_standardised": other.learned()}
    name = next(iter(suspicious))
    shown = suspicious[name]
    # A plain sign of it needs less of an effect than one that healthy data may show as well.
    plain = shown["largest"] > 50 or shown["largest"] < 0.1 or shown["mean_over_spread"] > 5
    if gain > (0.04 if plain else CLEAR):
        message = (
            f"inputs reach {shown['largest']:.3g} (spreads differ {shown['ratio_of_spreads']:.3g}-fold); standardised,"
            f" the program learns {gain:.0%} more of what there is"
        )
        yield Finding(
            "input-scale", "error", message, evidence, "subtract the training rows' mean and divide by their spread"
        )
    elif shown["largest"] > 100:
        yield Finding("input-scale", "note", f"inputs reach {shown['largest']:.3g}", evidence)


def unshuffled(lab: Lab) -> Iterator[Finding]:
    """Batches of one class after another: labels within batches against the same labels dealt at random."""
    rows = rows_table(lab, "train")
    sizes = lab.train.sizes
    if rows.y is None or len(sizes) < 4 or max(sizes) < 4:
        return
    y = rows.y.astype(np.float64)
    if not rows.numbers:
        codes = np.unique(rows.y, return_inverse=True)[1]
        y = np.eye(int(codes.max()) + 1)[codes]
    else:
        y = ((y - y.mean()) / max(y.std(), 1e-12))[:, None]
    within = _within(y, sizes)
    random = np.random.default_rng(0)
    dealt = [_within(random.permutation(y), sizes) for _ in range(30)]
    share = within / max(float(np.mean(dealt)), 1e-12)
    if share < 0.7 and within < min(dealt):
        evidence = {"spread_within_batches": share}
        own, other = lab.own, lab.shuffled
        gain = own.gain(other)
        evidence |= {"learned": own.learned(), "learned_shuffled": other.learned()}
        severity: Severity = "error" if gain > 0.03 and not lab.program.causal else "warning"
        message = (
            f"rows come in an order that follows the answers: within a batch they vary {share:.0%} as much as at random"
        )
        message += f"; in random order the program learns {gain:.0%} more" if severity == "error" else ""
        yield Finding("unshuffled", severity, message, evidence, "shuffle=True, anew in every epoch")


def _within(y: np.ndarray, sizes: tuple[int, ...]) -> float:
    """The mean variance of answers within batches."""
    found, begin = [], 0
    for size in sizes:
        if size > 1:
            found.append(float(y[begin : begin + size].var(0).sum()))
        begin += size
    return float(np.mean(found)) if found else 0.0


def class_imbalance(lab: Lab) -> Iterator[Finding]:
    """Classes that are rare and hardly ever answered: each class's recall, against a training that weighs them."""
    answer = lab.own.answer
    if answer is None or answer.form not in ("classes", "binary") or not answer.one_a_row:
        return
    rows = rows_table(lab, "train")
    if rows.y is None or rows.numbers:
        return
    counts = np.bincount(rows.y)
    counts = counts[counts > 0]
    if len(counts) < 2 or counts.max() < 8 * counts.min():
        return
    rare = [int(c) for c in np.unique(rows.y) if np.bincount(rows.y)[c] * 8 <= counts.max()]
    predicted, labels = answer.predicted().long(), answer.labels.long()
    recalls = {c: float((predicted[labels == c] == c).float().mean()) for c in rare if bool((labels == c).any())}
    usual = [float((predicted[labels == c] == c).float().mean()) for c in labels.unique().tolist()]
    if not recalls or min(recalls.values()) > (0.5 if lab.own.metric is None else 0.9):
        return
    balanced = lab.outcome(Change("each class as often", batches=_balanced_batches(lab, rows.y)))
    if balanced.answer is None:
        return
    other = balanced.answer.predicted().long()
    again = {c: float((other[labels == c] == c).float().mean()) for c in recalls}
    mean_before = sum(usual) / len(usual)
    mean_after = float(np.mean([float((other[labels == c] == c).float().mean()) for c in labels.unique().tolist()]))
    evidence = {
        "rows": {int(c): int(n) for c, n in enumerate(np.bincount(rows.y))},
        "recall": recalls,
        "recall_balanced": again,
        "mean_recall": mean_before,
        "mean_recall_balanced": mean_after,
    }
    worst = min(recalls, key=lambda c: recalls[c])
    rarer = float((labels == worst).float().mean()) > 3 * float((rows.y == worst).mean())
    evidence["rarer_than_held_out"] = rarer
    before, after = lab.own.metric, balanced.metric  # which say whether each class counts, or each row
    asked = before is not None and after is not None and 0 < before < 1 and after > before + 0.03
    more, more_on_average = again[worst] - recalls[worst], mean_after - mean_before
    # As rare where it is used, a class may be left to the others; seldom learned and often met, it may not.
    if (more > 0.2 and more_on_average > (0.05 if rarer else 0.2)) or (asked and min(more, more_on_average) > 0.03):
        message = (
            f"class {worst} is {recalls[worst]:.0%} recognised; with each class as often in a batch {again[worst]:.0%},"
            f" and all classes {mean_after:.0%} on average in place of {mean_before:.0%}"
        )
        yield Finding(
            "class-imbalance", "error", message, evidence, "weigh the loss, or sample rare classes more often"
        )


def weighs_the_rare_less(lab: Lab) -> Iterator[Finding]:
    """A loss whose weights fall with a class's rarity: as unsure of all, rows of rare classes pull less than others."""
    _, targets, outputs = given_batch(lab)
    answer, y = lab.read(outputs, targets), rows_table(lab, "train").y
    if answer.form != "classes" or not answer.one_a_row or y is None or rows_table(lab, "train").numbers:
        return
    scores = dict(leaves(outputs))[answer.path].float()
    if scores.dim() != 2 or len(scores) != len(answer.labels):
        return
    free = torch.zeros_like(scores).requires_grad_()
    try:
        with torch.enable_grad():
            (grad,) = torch.autograd.grad(loss_of(lab, replaced(outputs, answer.path, free), targets).mean(), free)
    except RuntimeError:  # a loss without a gradient, which others say
        return
    pulls = {int(label): float(grad[answer.labels == label].norm(dim=1).median()) for label in answer.labels.unique()}
    counts = {label: int((y == label).sum()) for label in pulls}
    if (found := lighter(counts, pulls)) is not None:
        label, common = found
        message = (
            f"the loss weighs rows of class {label} ({counts[label]} of {len(y)})"
            f" {pulls[label] / pulls[common]:.2g} times as much as those of class {common} ({counts[common]})"
        )
        fix = "weights of one over the number of rows of a class, or none"
        yield Finding("class-imbalance", "error", message, {"pulls": pulls, "rows": counts}, fix)


def lighter(counts: Mapping[int, int], weights: Mapping[int, float]) -> tuple[int, int] | None:
    """A class with less than half the rows of the commonest and less than half its weight; and the commonest.

    >>> lighter({0: 90, 1: 10}, {0: 0.9, 1: 0.1})
    (1, 0)
    """
    common = max(counts, key=lambda label: counts[label])
    for label in sorted(counts, key=lambda label: counts[label]):
        if 0 < 2 * counts[label] < counts[common] and weights[label] < 0.5 * weights[common]:
            return label, common
    return None


def _balanced_batches(lab: Lab, y: np.ndarray) -> Any:
    sample, size = lab.train, max(lab.train.sizes)
    generator = torch.Generator().manual_seed(0)
    shares = torch.as_tensor(1.0 / np.bincount(y)[y])

    def batches() -> Iterator[tuple[Any, Any]]:
        for _ in sample.sizes:
            part = torch.multinomial(shares, size, replacement=True, generator=generator)
            yield rows_of(sample.inputs, part), rows_of(sample.targets, part)

    return batches
