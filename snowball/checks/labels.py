"""Whether labels belong to their rows, by what control learners make of them.

x: (N, D) features of N rows, y: (N,) their answers.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch

from ..finding import Finding
from .control import MOST_ROWS, across, across_answers, features, out_of_fold
from .draws import is_augmented
from .experiment import FASTER, SLOWER, Change
from .lab import Lab
from .split import Rows, in_groups, in_order, rows_table

__all__ = ["relation"]

PATH = 64  # numbers of a target: steps ahead, no picture
HARM = 0.03  # of all there is to learn, beside what controls say of the rows


def relation(lab: Lab) -> Iterator[Finding]:
    """What controls learn within the training rows, within the held-out rows, and from one to the other.

    Within each split, rows are answered from others of the same split; where that works in the held-out rows and less
    in the training rows, the training labels are at fault. Where it works in both but not from one to the other, the
    splits differ.
    """
    train = rows_table(lab, "train")
    val = rows_table(lab, "val") if lab.val is not None else None
    if not train.usable:
        pixels = Rows.of_pixels(lab, lab.train)
        if pixels is not None:
            train, val = pixels, Rows.of_pixels(lab, lab.val) if lab.val is not None else None
        elif is_augmented(lab):  # a path ahead that is not turned with the one before it
            train = Rows(lab, lab.train, PATH)
            val = None if lab.val is None else Rows(lab, lab.val, PATH)
    train, val = train.distinct(), None if val is None else val.distinct()
    if not train.usable or train.y is None or len(np.unique(train.y)) < 2:
        return
    assert train.x is not None
    inside, answers = out_of_fold(train.x, train.y, train.numbers)
    base = 0.0 if train.numbers else float(np.bincount(train.y).max() / len(train.y))
    evidence: dict[str, Any] = {"train": inside, "constant": base}
    held, held_answers = float("nan"), None
    if (
        val is not None
        and val.usable
        and val.numbers == train.numbers
        and val.x is not None
        and val.y is not None
        and val.x.shape[1] == train.x.shape[1]
    ):
        held, held_answers = out_of_fold(val.x, val.y, val.numbers)
        to_val = across(train.x, train.y, val.x, val.y, train.numbers)
        to_train = across(val.x, val.y, train.x, train.y, train.numbers)
        evidence |= {
            "rows_held_out": len(val.y),
            "held_out": held,
            "train_to_held_out": to_val,
            "held_out_to_train": to_train,
        }
        yield from _splits_differ(lab, train, val, evidence)
        if in_groups(val.x):  # a held-out row is answered from its own kin there, and no training row is
            held, held_answers = float("nan"), None
    found = list(_labels(lab, train, answers, evidence, base, inside, held))
    if not found and held_answers is not None and val is not None and not train.numbers and not is_augmented(lab):
        found = list(_one_label_for_many(lab, train, val, held_answers, evidence))
    yield from found


def _without_odd(lab: Lab, val: Rows, control: int, label: int) -> Change:
    """The training without rows of a class that a control answers otherwise, which learned from held-out rows."""
    train = rows_table(lab, "train")
    assert train.x is not None and train.y is not None and val.x is not None and val.y is not None
    those = np.flatnonzero(train.y == label)
    odd = []
    for begin in range(0, len(those), MOST_ROWS):
        part = those[begin : begin + MOST_ROWS]
        _, answers = across_answers(val.x, val.y, train.x[part], train.y[part], False)[control]
        odd.append(part[answers != label])
    kept = np.setdiff1d(np.arange(len(train.y)), np.concatenate(odd))
    return lab.in_random_order(f"without odd rows of class {label}", torch.as_tensor(kept))


def _one_label_for_many(
    lab: Lab, train: Rows, val: Rows, held: np.ndarray, evidence: dict[str, Any]
) -> Iterator[Finding]:
    """A class under which training rows of others stand, as where what was skipped kept a form's first entry.

    Controls that learned from held-out rows answer its training rows otherwise far more often than its held-out rows.
    """
    assert train.x is not None and train.y is not None and val.x is not None and val.y is not None
    best = int((held == val.y[: held.shape[1]]).mean(1).argmax())
    _, answers = across_answers(val.x, val.y, train.x, train.y, False)[best]
    y, held_y = train.y[: len(answers)], val.y[: held.shape[1]]
    for label in np.unique(y):
        here, there = answers[y == label] != label, held[best][held_y == label] != label
        if len(here) < 100 or len(there) < 30:
            continue
        more = float(here.mean() - there.mean())
        error = float((here.var() / len(here) + there.var() / len(there)) ** 0.5)
        if more > 0.15 and more > 4 * error:
            # Rows that are hard to controls are missed by the network where it learns without them; wrong ones are not.
            gain = lab.shuffled.gain(lab.outcome(_without_odd(lab, val, best, int(label))))
            if gain < HARM:
                continue
            message = (
                f"controls answer {here.mean():.0%} of the training rows of class {label} otherwise, and"
                f" {there.mean():.0%} of its held-out rows; without those the program learns {gain:.0%} more"
            )
            shares = {"otherwise": float(here.mean()), "held_out": float(there.mean())}
            said = {**evidence, "class": int(label), **shares, "gain_without": gain}
            fix = "look at rows of this class: is it what a label is where nobody gave one?"
            yield Finding("label-noise", "error", message, said, fix)
            return


def _shift(one: np.ndarray, two: np.ndarray) -> tuple[float, float]:
    """How far two tables of features are apart: the mean shift in spreads, and the ratio of their spreads."""
    spread = np.maximum(one.std(0), 1e-9)
    used = one.std(0) > 1e-9
    if not used.any():
        return 0.0, 1.0
    moved = float(np.median(np.abs(two.mean(0) - one.mean(0))[used] / spread[used]))
    ratio = float(np.median(np.maximum(two.std(0), 1e-9)[used] / spread[used]))
    return moved, ratio


def _splits_differ(lab: Lab, train: Rows, val: Rows, evidence: dict[str, Any]) -> Iterator[Finding]:
    assert train.x is not None and val.x is not None and train.y is not None and val.y is not None
    moved, ratio = _shift(train.x, val.x)
    to_val, inside, held = evidence["train_to_held_out"], evidence["train"], evidence["held_out"]
    evidence |= {"mean_shift": moved, "ratio_of_spreads": ratio}
    base = evidence["constant"]
    expected = min(inside, max(held, base))
    lost = (expected - to_val) / max(1e-6, 1 - base)
    gross = moved > 0.5 or ratio > 2 or ratio < 0.5
    if expected - base > 0.1 and lost > 0.15:
        if not train.numbers and not gross:
            permuted = _renamed(train, val)
            evidence["renamed_labels"] = permuted
            if permuted > to_val + 0.3 * max(1e-6, 1 - to_val):
                message = (
                    f"what is learned from training rows answers {to_val:.0%} of held-out rows, but {permuted:.0%} with"
                    " their labels renamed"
                )
                yield Finding(
                    "train-val-mismatch", "error", message, evidence, "number the classes once, for both splits"
                )
                return
        if gross or lost > 0.3:
            message = (
                f"training and held-out rows are prepared differently: what is learned from training rows answers"
                f" {to_val:.0%} of held-out rows (of training rows {inside:.0%}); features move by {moved:.2g} spreads,"
                f" spreads by a factor {ratio:.2g}"
            )
            yield Finding(
                "train-val-mismatch", "error", message, evidence, "prepare both with the training rows' statistics"
            )


def _renamed(train: Rows, val: Rows) -> float:
    """The best share of held-out rows that are right when each class may get another's name."""
    from scipy.optimize import linear_sum_assignment

    assert train.x is not None and val.x is not None and train.y is not None and val.y is not None
    width = int(max(train.y.max(), val.y.max())) + 1
    best = 0.0
    for _, answers in across_answers(train.x, train.y, val.x, val.y, False):
        table = np.zeros((width, width))
        np.add.at(table, (answers.astype(int), val.y[: len(answers)]), 1)
        one, other = linear_sum_assignment(-table)
        best = max(best, float(table[one, other].sum() / len(answers)))
    return best


def _labels(
    lab: Lab, train: Rows, answers: np.ndarray, evidence: dict[str, Any], base: float, inside: float, held: float
) -> Iterator[Finding]:
    """`inside` and `held`: what controls reach within the training and within the held-out rows (NaN: not known)."""
    assert train.x is not None and train.y is not None
    count = answers.shape[1]
    room = max(1e-6, 1 - base)
    by_chance = 2 * (base * (1 - base) / count) ** 0.5
    at_chance = inside < 0.05 if train.numbers else inside - base < min(0.05, 0.1 * room) + by_chance
    beside, as_they_are = _order_shift(lab, train)
    evidence["shifted_by_one"] = beside
    if beside > max(inside, as_they_are) + 0.2 * room:
        message = f"labels fit the rows beside theirs: {beside:.0%} with a shift of one, {as_they_are:.0%} as they are"
        yield Finding("label-misaligned", "error", message, evidence, "keep each label with its row")
    elif held - base > min(0.1, 0.25 * room):  # false where it is not known
        yield from _worse_in_training(lab, train, evidence, at_chance, count)
    elif at_chance and base < 0.8 and not held - base >= 0.05 and _learns_nothing(lab):
        message = "neither controls nor the program's network find a relation between inputs and labels"
        fix = "keep each label with its row, whatever order they are put in"
        yield Finding("label-misaligned", "error", message, evidence, fix)
    if not train.numbers:
        found = list(_flipped(train.y[:count], answers, evidence))
        if found and not _knows_better(lab, float(evidence["agreed_and_wrong"])):
            yield from found
    else:
        yield from _two_units(train, evidence)


def _knows_better(lab: Lab, wrong: float) -> bool:
    """Whether the program's network is right on more training and held-out rows than labels are said to be."""
    own = lab.own
    return min(own.train_score, own.score) > 1 - wrong + 0.05  # false where they are not known


def _learns_nothing(lab: Lab) -> bool:
    """Whether the program finds no relation either, whatever its learning rate."""
    own = lab.own
    if not own.finite or own.learned() >= 0.05:
        return False
    if own.answer is not None and own.answer.form == "numbers" and own.last_loss < own.first_loss:
        from scipy.stats import spearmanr  # numbers may come through a link, such as the logarithm of a rate

        scores, labels = (t[:, 0].cpu().numpy() for t in (own.answer.scores, own.answer.labels))
        if abs(float(spearmanr(scores, labels).statistic)) > 0.2:
            return False
    return all(lab.outcome(change).learned() < 0.05 for change in (SLOWER, FASTER))


def _worse_in_training(
    lab: Lab, train: Rows, evidence: dict[str, Any], at_chance: bool, count: int
) -> Iterator[Finding]:
    """Controls do less in the training rows than in the held-out ones: labels are lost, wrong, or left behind."""
    inside, held, base = (
        max(evidence["train"], evidence["held_out_to_train"]),
        evidence["held_out"],
        evidence["constant"],
    )
    drawn = is_augmented(lab)
    reached = f"controls reach {inside:.0%} there and {held:.0%} within the held-out rows"
    rows = "training rows, which are drawn at random," if drawn else "training rows"
    smaller = min(count, evidence["rows_held_out"])
    noise = 0.1 if train.numbers else 2.5 * (2 * max(held * (1 - held), 0.02) / smaller) ** 0.5
    worse = held - inside > max(0.1 * (1 - base), noise)
    if drawn and train.single:  # moved rows are harder to controls even with right labels; pixels are not
        own = lab.own
        evidence["own_train"], evidence["own_held_out"] = own.train_score, own.score
        if (
            train.numbers
        ):  # labels off to both sides alike are learned as their mean: the program is off on its own rows
            lost = held - inside > 0.5 * held and own.score < held - noise
            worse = worse and (own.score - own.train_score > noise / 2 or lost)
        else:
            worse = worse and held - evidence["train_to_held_out"] > noise
    if not train.numbers:  # wrong labels leave a little to be found, those of other rows nothing
        found = [evidence[key] - base for key in ("train", "held_out_to_train", "train_to_held_out")]
        at_chance = at_chance and sum(found) / 3 < 2 * (base * (1 - base) / count) ** 0.5
    if at_chance and worse and not drawn:
        message = f"no relation between inputs and labels of {rows}: {reached}"
        yield Finding("label-misaligned", "error", message, evidence, "shuffle inputs and labels together")
    elif worse and not _gross(evidence):
        check = "augment-target" if drawn else "label-noise"
        message = f"labels of {rows} are wrong more often than those of held-out rows: {reached}"
        fix = (
            "transform targets with their inputs, or leave that out"
            if drawn
            else "look at rows that controls answer otherwise"
        )
        yield Finding(check, "error", message, evidence, fix)


def _gross(evidence: dict[str, Any]) -> bool:
    return evidence.get("mean_shift", 0) > 0.5 or not 0.5 < evidence.get("ratio_of_spreads", 1) < 2


def _order_shift(lab: Lab, train: Rows) -> tuple[float, float]:
    """How well controls do when each label is given to a row beside its own, in the data set's own order.

    And how well with their own or with no features at all: a sampler may give other shares of classes than lie there.
    """
    none = -math.inf, math.nan
    if not train.single:
        return none
    if (ordered := in_order(lab)) is None:
        return none
    x, y = ordered
    table = features(x, len(x))
    if table is None or len(y) != len(table):
        return none
    labels = y.numpy().astype(np.float64 if train.numbers else np.int64)
    if not train.numbers and (labels.min() < 0 or len(np.unique(labels)) < 2):
        return none
    if _in_runs(labels, train.numbers):
        return none
    beside = max(out_of_fold(x, y, train.numbers)[0] for x, y in ((table[1:], labels[:-1]), (table[:-1], labels[1:])))
    constant = 0.0 if train.numbers else float(np.bincount(labels).max() / len(labels))
    return beside, max(constant, out_of_fold(table, labels, train.numbers)[0])


def _in_runs(labels: np.ndarray, numbers: bool) -> bool:
    """Whether neighbours mostly have the same answer, so that a shift by one changes little."""
    if numbers:
        return abs(float(np.corrcoef(labels[1:], labels[:-1])[0, 1])) > 0.3
    return float((labels[1:] == labels[:-1]).mean()) > 2 * float((np.bincount(labels) / len(labels)).max())


def _flipped(y: np.ndarray, answers: np.ndarray, evidence: dict[str, Any]) -> Iterator[Finding]:
    """Labels against which all controls agree, spread over all other classes alike: drawn at random, not confused.

    Rows that are hard are confused with their neighbours, and controls differ on them; a flipped label stands among
    rows that are easy, and names any class as often as any other.
    """
    classes = np.unique(y)
    agree = (answers == answers[0]).all(0)
    wrong = agree & (answers[0] != y)
    share = float(wrong.sum() / max(1, agree.sum()))
    if len(classes) < 3 or agree.sum() < 100 or wrong.sum() < 20 or share > 0.5:
        return
    # controls that agree on what is mostly not so, or on a few classes, have learned nothing: their word is none
    rare = 1 - float(np.bincount(y).max()) / len(y)
    if _apart(answers[0][agree], y) > min(0.25, 0.5 * rare):
        return
    table = np.zeros((len(classes), len(classes)))
    np.add.at(table, (np.searchsorted(classes, answers[0][wrong]), np.searchsorted(classes, y[wrong])), 1)
    # How evenly the labels of each decided class are spread over the others, beside an even spread of as many.
    random = np.random.default_rng(0)
    totals = table.sum(1).astype(int)
    dealt = [
        sum(_entropy(random.multinomial(n, np.full(len(classes) - 1, 1 / (len(classes) - 1)))) * n for n in totals if n)
        for _ in range(50)
    ]
    seen = sum(_entropy(np.delete(table[row], row)) * n for row, n in enumerate(totals) if n)
    even = float(seen / max(np.mean(dealt), 1e-12))
    evidence |= {"agreed_and_wrong": share, "evenness": even}
    explained = float((answers == y).mean(1).max()) > 1 - 1.6 * share  # most of what the best control gets wrong
    if share > 0.1 and even > 0.9 and explained:
        message = f"{share:.0%} of labels differ from what all controls agree on, any class alike: wrong at random"
        yield Finding(
            "label-noise", "error", message, evidence, "look at the rows on which controls agree against the label"
        )


def _two_units(train: Rows, evidence: dict[str, Any]) -> Iterator[Finding]:
    """A share of the answers that are another multiple of what a control says of their rows, as feet among metres.

    The control goes by absolute errors, which a few far ones do not move; the far ones must lie on a line of their own.
    """
    from sklearn.ensemble import HistGradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_predict

    assert train.x is not None and train.y is not None
    x, y = train.x[:MOST_ROWS], train.y[:MOST_ROWS]
    if len(y) < 200:
        return
    control = HistGradientBoostingRegressor(loss="absolute_error", max_iter=60, random_state=0)
    said = cross_val_predict(control, x, y, cv=KFold(3, shuffle=True, random_state=0))
    off = y - said
    spread = 1.4826 * float(np.median(np.abs(off - np.median(off))))
    far = np.abs(off) > 6 * spread
    share = float(far.mean())
    if not 0.02 < share < 0.4 or spread < 1e-9 or min(far.sum(), (~far).sum()) < 20:
        return
    lines, left = [], []
    for rows in (~far, far):
        lines.append(np.polynomial.Polynomial.fit(said[rows], y[rows], 1).convert().coef)
        left.append(float(np.var(y[rows] - said[rows] * lines[-1][1]) / np.var(y[rows])))
    ratio = float(lines[1][1] / lines[0][1])
    first, second = (line[0] + line[1] * said for line in lines)
    wide = np.abs(second - first) > 8 * spread
    place = (y[wide] - first[wide]) / (second - first)[wide]  # 0 on the first line, 1 on the second
    between, on = int(((place > 0.3) & (place < 0.7)).sum()), int(((place > 0.75) & (place < 1.25)).sum())
    # a heavy tail lies between the lines as well
    if max(left) < 0.2 and (ratio > 1.5 or 0 < ratio < 0.67) and on >= 15 and between < 0.25 * on:
        message = (
            f"{share:.0%} of answers lie on a line of their own, {ratio:.2g} times as steep in what a control says of"
            " their rows: another unit?"
        )
        said_of = {**evidence, "share": share, "ratio": ratio}
        yield Finding("label-noise", "error", message, said_of, "bring all answers to one unit")


def _apart(answers: np.ndarray, y: np.ndarray) -> float:
    """How far apart the shares of classes are: 0 the same, 1 none in common."""
    width = int(max(answers.max(), y.max())) + 1
    one, other = (np.bincount(labels.astype(int), minlength=width) / len(labels) for labels in (answers, y))
    return float(np.abs(one - other).sum() / 2)


def _entropy(counts: np.ndarray) -> float:
    shares = counts[counts > 0] / max(counts.sum(), 1)
    return float(-(shares * np.log(shares)).sum())
