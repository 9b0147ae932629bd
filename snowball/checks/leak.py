"""Inputs that hold what is only known once the answer is.

x: (N, D) features of N rows, y: (N,) their answers.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
import torch
from torch import Tensor

from ..finding import Finding
from .control import features, out_of_fold
from .lab import Lab
from .loss import given_batch, loss_of
from .nested import leaves, mapped
from .sample import Sample
from .split import in_order, rows_table
from .telling import by_itself, by_value, correlations, left_over, linear, most_telling

__all__ = ["target_leak"]

LAGS = 8  # rows before and after
FILLED_BEFORE, FILLED_AFTER = 0.1, 0.6  # of rows of a class: what is merely a cause is there without it far oftener
MOST_SHARED, CHANCE = 12, 1e-6  # rows of a category; columns are many, and so are programs
EXACT = 1e-9  # of the target's variance: what rounding to 32 bits leaves, and no noise that was ever measured


def target_leak(lab: Lab) -> Iterator[Finding]:
    """The first sign of a leak, the most direct ones before."""
    found = list(_shown_where_asked(lab))
    if found:
        yield from found
        return
    rows = rows_table(lab, "train")
    if not rows.usable or rows.y is None:
        return
    looks: tuple[Callable[[Lab, np.ndarray], Iterator[Finding]], ...] = (
        (_copied, _worked_out, _of_later_answers) if rows.numbers else (_in_one_place, _came_after, _mean_of_answers)
    )
    for look in (*looks, _told_in_training_alone, _by_itself):
        found = list(look(lab, rows.y))
        if found:
            yield from found
            return


def _shown_where_asked(lab: Lab) -> Iterator[Finding]:
    """Places that are hidden, each row's own, where the input still shows what is asked there.

    The loss is asked at which places of the outputs it pulls. Where it pulls at all, as an autoencoder's does, what is
    shown is what is asked, and meant.
    """
    inputs, targets, outputs = given_batch(lab)
    found = [t for _, t in leaves(outputs) if t.is_floating_point() and t.dim() >= 2]
    if len(found) != 1 or lab.compares_rows:
        return
    random = torch.Generator().manual_seed(0)
    noise = torch.rand(found[0].shape, generator=random).to(found[0])
    inside = bool(((found[0] >= 0) & (found[0] <= 1)).all())  # as a loss of probabilities asks
    free = ((0.9 * found[0] + 0.05 + 0.05 * noise) if inside else found[0] + 2 * noise - 1).requires_grad_()
    try:
        with torch.enable_grad():
            loss = loss_of(lab, mapped(outputs, lambda t: free if t is found[0] else t), targets)
            grad = torch.autograd.grad(loss.mean(), free, allow_unused=True)[0] if loss.requires_grad else None
    except (RuntimeError, ValueError, IndexError):  # a loss that asks more of outputs
        return
    if grad is None:
        return
    masks = [
        (grad != 0).flatten(1),
        *([(grad != 0).any(2)] if grad.dim() == 3 else []),
    ]  # numbers, or scores of classes
    for asked in masks:
        pulled = float(asked.float().mean())
        if asked.shape[1] < 8 or not 0.05 < pulled < 0.8 or bool((asked == asked[:1]).all()):
            continue
        goals = [channel for _, t in leaves(targets) for channel in _channels(t, asked, 4)]
        for goal, seen in itertools.product(goals, [c for _, t in leaves(inputs) for c in _channels(t, asked, 8)]):
            same = float((goal[asked] == seen[asked]).float().mean())
            if same > 0.99 and len(goal[asked].unique()) > 2:
                message = f"the loss asks for {pulled:.0%} of a row's places, at which the input shows what is asked"
                fix = "blank in the input what is hidden from the network"
                yield Finding("target-leak", "error", message, {"asked": pulled, "shown": same}, fix)
                return


def _channels(tensor: Tensor, asked: Tensor, most: int) -> list[Tensor]:
    """The channels of a tensor, (B, P) each, that lie over the places asked for, (B, P); none beyond so many."""
    places = asked.shape[1]
    if tensor.dim() < 2 or len(tensor) != len(asked) or tensor[0].numel() % places:
        return []
    if tensor[0].numel() > most * places:
        return []
    first, last = tensor.reshape(len(tensor), -1, places), tensor.reshape(len(tensor), places, -1)
    return [*first.unbind(1), *(last.unbind(2) if last.shape[2] > 1 else ())]


def _columns(lab: Lab, sample: Sample | None = None) -> np.ndarray | None:
    """The columns of rows that are numbers, (N, 3 to 400); of the training rows, or of others."""
    sample = sample or lab.train
    floats = [t for _, t in leaves(sample.inputs) if t.dim() == 2 and len(t) == len(sample)]
    if not floats or not all(t.is_floating_point() for t in floats):
        return None
    table = torch.cat([t.float() for t in floats], 1).numpy()
    return table if 3 <= table.shape[1] <= 400 else None


def _came_after(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A column that is filled in for rows of one class alone, which tells more than all other columns together.

    A fee for what went wrong, a date of leaving: what is entered once the answer is known, and is 0 before.
    """
    table = _columns(lab)
    if table is None or len(np.unique(y)) != 2:
        return
    for column in range(table.shape[1]):
        values, counts = np.unique(table[:, column], return_counts=True)
        empty = values[counts.argmax()]
        if len(values) < 10 or not 0.3 < counts.max() / len(y) < 0.98:
            continue
        filled = table[:, column] != empty
        often = sorted(float(filled[y == label].mean()) for label in np.unique(y))
        if often[0] > FILLED_BEFORE or often[1] < FILLED_AFTER:
            continue
        alone = max(float((filled == (y == label)).mean()) for label in np.unique(y))
        without, _ = out_of_fold(np.delete(table, column, 1), y, False)
        base = float(np.bincount(y).max() / len(y))
        # where nothing else tells anything, that column is the problem that was set
        if without - base > 0.1 * (1 - base) and alone - without > 0.03:
            share = f"{often[1]:.0%} of rows of one class, {often[0]:.0%} of the other"
            message = (
                f"feature {column} is {empty:g} unless filled in, for {share}; that tells {alone:.1%} of answers, all"
                f" other features together {without:.1%}"
            )
            evidence = {"feature": column, "filled": often, "alone": alone, "others_together": without}
            yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")
            return


def _mean_of_answers(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A column that is the mean answer of the rows that share its value, these rows' own among them.

    A category that is given as the mean of its rows' answers, drawn towards the mean of all, holds a row's own answer
    unless that is left out. Of n rows of a category the mean of yes and no is a whole number of n-ths: that it is so
    for every value of a column, of whichever small n, is by chance a matter of less than CHANCE.
    """
    table = _columns(lab)
    if table is None or lab.val is None or len(np.unique(y)) != 2:
        return
    both = [(table, y)]
    val = rows_table(lab, "val")
    others = _columns(lab, lab.val)
    if val.y is not None and others is not None and others.shape[1] == table.shape[1]:
        both.append((np.concatenate([table, others]), np.concatenate([y, val.y])))
    for column in range(table.shape[1]):
        for rows, answers in both:
            values, codes, counts = np.unique(rows[:, column], return_inverse=True, return_counts=True)
            if not 10 <= len(values) <= len(answers) / 4 or np.bincount(codes, answers).max() > answers.sum() / 2:
                continue
            chance, fits, groups = 1.0, 0, 0
            for num, yes in zip(counts, np.bincount(codes, answers), strict=True):
                if num < 2 * MOST_SHARED:
                    continue
                groups += 1
                sizes = [n for n in range(1, MOST_SHARED + 1) if num % n == 0]
                if any(yes % (num // n) == 0 for n in sizes):
                    possible = {num // n * k for n in sizes for k in range(n + 1)}
                    share = min(max(yes / num, 0.1), 0.9)
                    near = np.arange(num + 1)[
                        np.abs(np.arange(num + 1) - yes) <= 3 * (num * share * (1 - share)) ** 0.5
                    ]
                    fits += 1
                    chance *= len(possible.intersection(near)) / len(near)
            # unlike means that fall on one value are few
            if groups >= 5 and fits >= 0.8 * groups and chance < CHANCE:
                message = (
                    f"feature {column} is a mean of answers, the row's own among them: for {fits} of {groups} of its"
                    " values the share of yes is a whole fraction"
                )
                fix = "give each row the mean of other rows alone, fold by fold, of training rows"
                yield Finding("target-leak", "error", message, {"feature": column, "chance": chance}, fix)
                return


def _by_itself(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """One feature of many that gives the answer by itself, where the others together do not."""
    numbers = rows_table(lab, "train").numbers
    table = _columns(lab)
    if table is None or lab.answer.form == "unknown":
        return
    if numbers and lab.answer.labels[:1].numel() > 1:  # a speed is an input, and what moves a place
        return
    alone = np.array([by_itself(table[:, j], y, numbers) for j in range(table.shape[1])])
    best = int(alone.argmax())
    order = np.sort(alone)
    second = float(order[-2])
    if alone[best] < 0.9 or alone[best] - second < 0.02:
        return
    rest = np.delete(table, best, 1)
    without, _ = out_of_fold(rest, y, numbers)
    base = 0.0 if numbers else float(np.bincount(y).max() / len(y))
    evidence = {
        "feature": best,
        "alone": float(alone[best]),
        "next_best": second,
        "others_together": without,
        "constant": base,
    }
    margin = (alone[best] - without) / max(1e-6, 1 - without)
    if numbers:  # what a leak leaves over is noise; what a cause leaves over, other causes explain
        line = np.polynomial.Polynomial.fit(table[:, best], y, 1)
        evidence["rest_explained"], _ = out_of_fold(rest, y - line(table[:, best]), True)
        if evidence["rest_explained"] > 0.1:
            return
    if alone[best] > 0.97 and margin > 0.5 and alone[best] - without > 0.01:
        message = f"feature {best} alone gives {alone[best]:.1%} of answers, all others together {without:.1%}"
        yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")


def _in_one_place(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A pixel or a word at one place that tells the class by itself, where all others together tell less of it."""
    classes = np.unique(y)
    for name, tensor in leaves(lab.train.inputs):
        table = tensor.reshape(len(y), -1).double().numpy() if len(tensor) == len(y) and tensor.dim() > 1 else None
        wide = tensor.dim() > 2 or not tensor.is_floating_point()
        if table is None or not wide or not 8 <= table.shape[1] <= 50_000 or len(classes) > 50:
            continue
        alone = np.zeros(table.shape[1])
        for column in most_telling(table, y, classes):
            alone[column] = by_value(table[:, column], y)
        found = np.flatnonzero(alone > 0.97)
        if not 0 < len(found) <= 0.1 * table.shape[1]:
            continue
        rest = features(tensor.reshape(len(y), -1)[:, torch.as_tensor(np.flatnonzero(alone <= 0.9))], len(y))
        assert rest is not None
        without, _ = out_of_fold(rest, y, False)
        base, best = float(np.bincount(y).max() / len(y)), float(alone.max())
        # where nothing else tells anything, that place is the problem that was set
        if without - base > 0.1 * (1 - base) and best - without > max(0.01, 0.5 * (1 - without)):
            evidence = {"input": name, "places": found[:10].tolist(), "alone": best, "others_together": without}
            message = f"number {int(found[0])} of each row tells {best:.1%} of answers, all others {without:.1%}"
            yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")
            return


def _copied(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A number among several that is the target itself, or a line of it."""
    for name, tensor in leaves(lab.train.inputs):
        if not tensor.is_floating_point() or len(tensor) != len(y):
            continue
        table = tensor.reshape(len(y), -1).double().numpy()
        if not 3 <= table.shape[1] <= 5000:
            continue
        found = np.flatnonzero(np.abs(linear(table, y)) > 0.99999)
        if 0 < len(found) <= 0.2 * table.shape[1] + 1:
            message = f"number {int(found[0])} of each row of the input is the target itself"
            evidence = {"input": name, "places": found[:10].tolist()}
            yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")
            return


def _worked_out(lab: Lab, y: np.ndarray) -> Iterator[Finding]:
    """A few features of a table out of which the target can be worked out exactly, though others tell of it as well.

    A mean over days that takes in the day asked for, less the days before, is that day.
    """
    floats = [t for _, t in leaves(lab.train.inputs) if t.is_floating_point() and t.dim() == 2 and len(t) == len(y)]
    if len(floats) != 1 or not 4 <= floats[0].shape[1] <= 200 or len(y) < 3 * floats[0].shape[1]:
        return
    table = floats[0].double().numpy()
    used = [column for column in range(table.shape[1]) if table[:, column].std() > 1e-9]
    scaled = (table[:, used] - table[:, used].mean(0)) / table[:, used].std(0)
    wanted = (y - y.mean()) / y.std()

    def left(columns: list[int]) -> float:
        return left_over(scaled[:, columns], wanted)

    columns = list(range(len(used)))
    if left(columns) > EXACT:
        return
    for column in tuple(columns):
        fewer = [one for one in columns if one != column]
        if fewer and left(fewer) < EXACT:
            columns = fewer
    others = [column for column in range(len(used)) if column not in columns]
    # a rule without noise is a problem that somebody set; there, features it does not use tell nothing
    if 1 < len(columns) <= len(used) // 2 and left(others) < 0.7:
        places = [used[column] for column in columns]
        message = f"the target is a sum of multiples of features {places}, to the last digit"
        evidence = {"features": places, "explained_by_others": 1 - left(others)}
        yield Finding("target-leak", "error", message, evidence, "leave out what is only known once the answer is")


def _told_in_training_alone(lab: Lab, _: np.ndarray) -> Iterator[Finding]:
    """One feature that tells much of the training answers and little of held-out ones, where the others hold.

    So does the mean of all answers of a row's kind, where the row's own is among them: kinds with few rows are given
    away. Correlations are compared by Fisher's z.
    """
    inputs = [t for _, t in leaves(lab.train.inputs)]
    if lab.val is None or len(inputs) != 1 or inputs[0].dim() != 2 or not inputs[0].is_floating_point():
        return
    train, held = rows_table(lab, "train").distinct(), rows_table(lab, "val").distinct()
    if train.x is None or train.y is None or held.x is None or held.y is None or len(held.y) < 60:
        return
    if train.x.shape[1] != held.x.shape[1] or not 2 <= train.x.shape[1] <= 200 or train.numbers != held.numbers:
        return
    if not train.numbers and not (set(np.unique(train.y)) == set(np.unique(held.y)) and len(np.unique(train.y)) == 2):
        return
    (here, rows), (there, others) = correlations(train), correlations(held)
    error = (1 / max(1.0, rows - 3) + 1 / max(1.0, others - 3)) ** 0.5
    fell = (np.arctanh(np.abs(here)) - np.arctanh(np.abs(there))) / error
    order = np.argsort(fell)
    first, second = int(order[-1]), float(fell[order[-2]])
    lost = float(here[first] ** 2 - there[first] ** 2)
    if fell[first] > 5 and second < 3.5 and lost > 0.05:
        message = (
            f"feature {first} tells {here[first] ** 2:.0%} of the training answers' variance and"
            f" {there[first] ** 2:.0%} of held-out ones'; the others tell as much of both"
        )
        evidence = {"feature": first, "training": float(here[first]), "held_out": float(there[first])}
        fix = "was it made from the answers? take each row's from other rows, fold by fold"
        yield Finding("target-leak", "error", message, evidence, fix)


def _of_later_answers(lab: Lab, _: np.ndarray) -> Iterator[Finding]:
    """A feature that is, to the last digit, a sum of multiples of answers of its own row and later ones.

    Rows as the data set has them in its order, in which a mean around a row takes in what is asked of it. Those before
    it are known, so that a feature of these alone is none.
    """
    ordered = in_order(lab)
    if ordered is None or ordered[0].dim() != 2 or ordered[0].shape[1] > 200 or len(ordered[1]) < 100:
        return
    table, y = (part.double().numpy() for part in ordered)
    around = np.stack([np.roll(y, -shift) for shift in range(-LAGS, LAGS + 1)], 1)[LAGS:-LAGS]
    around = np.column_stack([around, np.ones(len(around))])
    past = np.column_stack([around[:, :LAGS], around[:, -1]])
    if left_over(past, y[LAGS:-LAGS]) < EXACT * 1000:  # a series that its past tells exactly tells nothing here
        return
    for column in range(table.shape[1]):
        feature, before = table[LAGS:-LAGS, column], table[LAGS - 1 : -LAGS - 1, column]  # a running mean holds its own
        made, known = (np.column_stack([part, before]) for part in (around, past))
        if feature.std() < 1e-9 or left_over(made, feature) > EXACT * 1000 or left_over(known, feature) < EXACT * 1000:
            continue
        message = f"feature {column} is a sum of multiples of the answer of its own row and of rows around it"
        fix = "make it of what is known before: shift, then take the mean"
        yield Finding("target-leak", "error", message, {"feature": column}, fix)
        return
