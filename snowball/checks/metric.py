"""Checks of the program's own metric, by handing it networks whose answers are known.

A stand-in looks up each row it is given and answers as it was told: all right, all wrong, right on some rows alone.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Iterator
from functools import partial
from itertools import accumulate
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ..finding import Finding
from .answer import Answer
from .averaging import averaged
from .lab import Lab
from .nested import joined, leaves, mapped, row_count, rows_of
from .sample import Sample
from .stand_in import Places, StandIn, blended, less_sure, made_up

__all__ = ["metric"]

SAME = 1e-4
NOISE = 0.95  # of 1: networks that learned nothing are told from good ones by less than this leaves
CHANNELS, RISE = 8, 0.03  # kinds of outputs that are lowered; of 1, what a better threshold gives at no cost of loss
RARE = 0.8  # of what lies between all wrong and all right: a network that learned nothing looks as if it had


def metric(lab: Lab) -> Iterator[Finding]:
    """All right must score best, all wrong worst, and half must lie between; other batches must not change it."""
    program, val = lab.program, lab.every_val
    if program.evaluate is None or val is None or program.val is None or not val.complete:
        return
    with program.kept(seed=0):
        outputs = lab.predict(val, rows=len(val))
    answer = lab.read(outputs, val.targets)
    if answer.form == "classes" and not answer.one_a_row:
        yield from _positions(lab, outputs, val)
        return
    if lab.relative and isinstance(outputs, Tensor) and isinstance(val.targets, Tensor):
        yield from _best_hidden(lab, outputs, val.targets)
        return
    masks = answer.form == "binary" and not answer.one_a_row and len(answer.labels) % len(val) == 0
    whole = answer.one_a_row and len(answer.labels) == len(val)
    if answer.form == "unknown":
        found = list(_of_noise(lab, outputs, val))
        yield from found or _better_for_worse(lab)
        return
    if not (whole or masks):
        return
    if {name for name, _ in leaves(outputs)} != {answer.path} or row_count(outputs) != len(val):
        return
    table = Places.of(lab, val)
    if table.answers_differ(answer.labels.reshape(len(val), -1)) > 0.02:
        return
    perfect, wrong = made_up(answer, outputs, 0), made_up(answer, outputs, 1)
    if not _loss_agrees(lab, perfect, wrong, *([outputs] if answer.form == "numbers" else [])):
        return
    values = {}
    for name, right in (
        ("all_right", torch.ones(len(val), dtype=torch.bool)),
        ("all_wrong", torch.zeros(len(val), dtype=torch.bool)),
        ("every_other", table.alike(torch.arange(len(val)) % 2 == 0)),
    ):
        prepared = blended(perfect, wrong, right)
        stand_in = StandIn(table, prepared)
        try:
            with program.kept(seed=0):
                values[name] = float(program.evaluate(stand_in, program.val))
        except Exception:  # a metric that asks more of a model than answers cannot be tested so
            return
        if stand_in.strange or not stand_in.asked:  # a metric may look at a model of its own, such as an average
            return
    if answer.form == "multilabel" or masks:
        yield from _says_no(lab, table, perfect, wrong, values)
    yield from _quantities(lab, answer, table, perfect, values)
    yield from _ranked(answer, values)
    yield from _unsure_left_out(lab, answer, table, perfect, wrong, values)
    yield from averaged(lab, table, perfect, wrong, abs(values["all_right"] - values["all_wrong"]))


def _of_noise(lab: Lab, outputs: Any, val: Sample) -> Iterator[Finding]:
    """Outputs that are random numbers, whatever is asked, must not come near the best that a metric can say."""
    program = lab.program
    assert program.evaluate is not None
    if row_count(outputs) != len(val) or not all(t.is_floating_point() for _, t in leaves(outputs)):
        return
    random = torch.Generator().manual_seed(0)
    drawn = mapped(outputs, lambda t: torch.randn(t.shape, generator=random))
    noise = mapped(drawn, lambda t: F.normalize(t.flatten(1)).reshape(t.shape) if t.dim() > 1 else t)
    stand_in = StandIn(Places.of(lab, val), noise)
    try:
        with program.kept(seed=0):
            value = float(program.evaluate(stand_in, program.val))
    except Exception:  # a metric that asks more of a model than answers cannot be tested so
        return
    if not stand_in.strange and stand_in.asked and NOISE < value <= 1 + SAME:
        message = f"the metric gives {value:.4g} to random outputs: does each row find itself?"
        yield Finding("metric-wrong", "error", message, {"random": value}, "leave out what is asked for with")


def _better_for_worse(lab: Lab) -> Iterator[Finding]:
    """One kind of output of the trained network, lowered everywhere: what makes the loss far worse betters no metric.

    A score that leaves out what a network is unsure of rises as it grows unsure of more.
    """
    program, own, val = lab.program, lab.own, lab.held_out
    evaluate = program.evaluate
    assert evaluate is not None
    answered = own.notes.get("answered")
    if not answered or own.metric is None or not math.isfinite(own.val_loss) or own.val_loss <= 0 or not val.complete:
        return
    sizes = [row_count(outputs) for outputs in answered]
    try:
        outputs = joined(answered)
    except RuntimeError:  # batches whose outputs are of other sizes
        return
    table = Places.of(lab, val)
    wide = [t for _, t in leaves(outputs) if t.is_floating_point() and t.dim() > 2 and 2 <= t.shape[1] <= CHANNELS]
    if len(wide) != 1 or sum(sizes) != len(val):
        return

    def judged(made: Any) -> tuple[float, float]:
        """What the metric and the loss say of prepared outputs; NaN where the metric looks elsewhere."""
        stand_in = StandIn(table, made)
        with program.kept(seed=0), torch.no_grad():
            score = float(evaluate(stand_in, program.val))
            parts = [rows_of(made, slice(end - size, end)) for size, end in zip(sizes, accumulate(sizes), strict=True)]
            losses = [
                float(program.loss(part, targets)) for part, (_, targets) in zip(parts, val.batches, strict=False)
            ]
        loss = sum(map(operator.mul, losses, sizes)) / sum(sizes)
        return (math.nan if stand_in.strange or not stand_in.asked else score), loss

    try:
        score, loss = judged(outputs)
        if not abs(score - own.metric) < 1e-3 * max(1.0, abs(own.metric)):
            return
        for channel in range(wide[0].shape[1]):
            spread = float(wide[0][:, channel].std())
            for times in (0.5, 0.75, 1.0, 1.5, 2.0, 3.0):
                lowered = wide[0].clone()
                lowered[:, channel] -= times * spread
                there, costs = judged(mapped(outputs, partial(_replaced, wide[0], lowered)))
                if there > score + RISE and costs > 1.4 * loss:
                    message = (
                        f"where output {channel} is lowered by {times * spread:.2g} everywhere the loss rises from"
                        f" {loss:.3g} to {costs:.3g}, and the metric from {score:.3f} to {there:.3f}"
                    )
                    fix = "count every row: what is left out for being unsure is a miss"
                    yield Finding("metric-wrong", "error", message, {"metric": there, "as_it_is": score}, fix)
                    return
    except Exception:  # a metric or a loss that asks more than outputs
        return


def _replaced(old: Tensor, new: Tensor, tensor: Tensor) -> Tensor:
    return new if tensor is old else tensor


def _says_no(lab: Lab, table: Places, perfect: Any, wrong: Any, values: dict[str, float]) -> Iterator[Finding]:
    """Many yes and no in each row, of which few are yes: who answers no to all must not come near the best."""
    program, best, worst = lab.program, values["all_right"], values["all_wrong"]
    assert program.evaluate is not None
    others = iter([t for _, t in leaves(wrong)])
    stand_in = StandIn(table, mapped(perfect, lambda t: torch.minimum(t, next(others))))
    with program.kept(seed=0):
        value = float(program.evaluate(stand_in, program.val))
    if best > worst and value > worst + RARE * (best - worst):
        message = f"the metric gives {value:.4g} where the answer is no to all, {best:.4g} where all is right"
        evidence = {**values, "no_to_all": value}
        yield Finding("metric-wrong", "error", message, evidence, "F1, average precision or IoU, which ask for the yes")


def _best_hidden(lab: Lab, outputs: Tensor, grades: Tensor) -> Iterator[Finding]:
    """Items of a row that are ranked: where the best stand last, a metric of ranks must say less than where they lead.

    outputs, grades: (N, D) of D items, the higher the better.
    """
    program, val = lab.program, lab.every_val
    assert program.evaluate is not None and val is not None
    if outputs.shape != grades.shape or grades.dim() != 2 or grades.shape[1] < 8:
        return
    table, grades = Places.of(lab, val), grades.to(outputs)
    hidden = torch.where(grades == grades.max(1, keepdim=True).values, grades.min() - 1, grades)
    values = []
    for scores in (grades, hidden):
        stand_in = StandIn(table, scores)
        try:
            with program.kept(seed=0):
                values.append(float(program.evaluate(stand_in, program.val)))
        except Exception:  # a metric that asks more of a model than answers cannot be tested so
            return
        if stand_in.strange or not stand_in.asked:
            return
    best, worse = values
    if worse >= best - 1e-6 * abs(best):
        message = f"the metric gives {best:.4g} where each row's best items lead, and {worse:.4g} where they stand last"
        evidence = {"best_first": best, "best_last": worse}
        yield Finding("metric-wrong", "error", message, evidence, "the ideal order is that of all items of a row")


def _loss_agrees(lab: Lab, perfect: Any, *others: Any) -> bool:
    """Whether the loss prefers the answers that are held for right to others; a small distance may be what says yes,
    and numbers may be asked for by their logarithms.
    """
    assert lab.val is not None
    with lab.program.kept(seed=0), torch.no_grad():
        try:
            right, *less = (float(lab.program.loss(made, lab.val.targets).mean()) for made in (perfect, *others))
        except Exception:  # a loss that asks more than answers, or for rows of one batch
            return True
    return not any(other < right for other in less)


def _positions(lab: Lab, outputs: Any, val: Sample) -> Iterator[Finding]:
    """One answer a position: where every answer is wrong, places that ask for none must not count as right; and other
    batches must not change what is counted."""
    program, targets = lab.program, val.targets
    scores = outputs if isinstance(outputs, Tensor) else None
    if program.evaluate is None or scores is None or not isinstance(targets, Tensor):
        return
    last = scores.shape[:-1] == targets.shape  # (B, T, C), or (B, C, T) and (B, C, H, W)
    if not last and (scores.dim() < 3 or (scores.shape[0], *scores.shape[2:]) != targets.shape):
        return
    classes = scores.shape[-1 if last else 1]
    table = Places.of(lab, val, positions=last)
    if table.answers_differ(targets) > 0:
        return
    values, made = [], []
    for shift in (0, 1):
        wanted = torch.where(targets >= 0, (targets + shift) % classes, 0)
        hot = 10.0 * F.one_hot(wanted, classes).to(scores)
        made.append(hot if last else hot.movedim(-1, 1))
        stand_in = StandIn(table, made[-1])
        try:
            with program.kept(seed=0):
                values.append(float(program.evaluate(stand_in, program.val)))
        except Exception:  # a metric that asks more of a model than answers cannot be tested so
            return
        if stand_in.strange:
            return
    right, wrong = values
    if 0 < right <= 1 + SAME and wrong > 0.05 * right:
        message = f"the metric gives {wrong:.4g} to answers that are all wrong: places without an answer count as right"
        evidence = {"all_right": right, "all_wrong": wrong}
        yield Finding("metric-wrong", "error", message, evidence, "leave padding out of both counts")
    yield from averaged(lab, table, made[0], made[1], abs(right - wrong))


def _quantities(lab: Lab, answer: Answer, table: Places, perfect: Any, values: dict[str, float]) -> Iterator[Finding]:
    """Classes that the network answers by one number each: near ones count to the loss, and nothing to the metric."""
    val = lab.every_val
    assert val is not None and lab.program.evaluate is not None
    if answer.form != "numbers" or not isinstance(val.targets, Tensor) or val.targets.is_floating_point():
        return
    classes = val.targets.unique()
    if not 3 <= len(classes) <= 50 or not 0 < values["all_right"] <= 1 + SAME:
        return
    near = StandIn(table, mapped(perfect, lambda t: t + 1))
    with lab.program.kept(seed=0):
        beside = float(lab.program.evaluate(near, lab.program.val))
    own = lab.own.metric
    if beside <= 0.05 * values["all_right"] and own is not None and own < 0.9 * values["all_right"]:
        message = (
            f"the loss takes the numbers of {len(classes)} classes for quantities, of which near ones are nearly right;"
            f" the metric counts them as wrong ({beside:.4g})"
        )
        evidence = {"all_right": values["all_right"], "all_one_beside": beside, "own": own}
        yield Finding("wrong-loss", "error", message, evidence, "one output a class, and cross_entropy")


def _ranked(answer: Answer, values: dict[str, float]) -> Iterator[Finding]:
    best, worst, half = values["all_right"], values["all_wrong"], values["every_other"]
    evidence = dict(values)
    if any(not math.isfinite(v) for v in values.values()):
        yield Finding(
            "metric-wrong", "error", f"the metric is not a number: {values}", evidence, "look for a division by 0"
        )
    elif best <= worst + 1e-9 or half > best + 1e-6 or half < worst - 0.05 * (best - worst):  # ties fall anyhow
        message = (
            f"the metric gives {best:.4g} to answers that are all right, {half:.4g} to half, {worst:.4g} to all wrong"
        )
        yield Finding(
            "metric-wrong", "error", message, evidence, "compare answers with targets of one shape, higher is better"
        )
    elif answer.form == "classes" and worst > 0.05 * best and best <= 1.0 + 1e-6 and best > 0:
        message = f"the metric gives {worst:.4g} to answers that are all wrong (all right: {best:.4g})"
        yield Finding("metric-wrong", "error", message, evidence, "count an answer as right where it equals the target")
    elif answer.form != "numbers" and 0 < best < min(0.95, _present(answer) - 0.05) and worst >= -1e-6:
        message = f"the metric gives only {best:.4g} to answers that are all right"
        yield Finding("metric-wrong", "error", message, evidence, "divide by the number of rows that are counted")
    elif answer.form != "numbers" and abs(best - 100) > 1 and best > 1.05:
        message = f"the metric gives {best:.4g} to answers that are all right"
        yield Finding("metric-wrong", "error", message, evidence, "divide by the number of rows")


def _present(answer: Answer) -> float:
    """The share of classes that some row has: a mean over all of them may count the others as 0."""
    if answer.form == "multilabel":
        yes = answer.labels > 0
        return min(float(yes.any(0).float().mean()), float(yes.any(1).float().mean()))
    return len(answer.labels.unique()) / answer.num_classes


def _unsure_left_out(
    lab: Lab, answer: Answer, table: Places, perfect: Any, wrong: Any, values: dict[str, float]
) -> Iterator[Finding]:
    """Where the metric is an accuracy, wrong answers count as wrong however unsure they are."""
    program, val = lab.program, lab.every_val
    assert val is not None and program.evaluate is not None
    every_other = table.alike(torch.arange(len(val)) % 2 == 0)
    expected = float(every_other.float().mean())
    is_share = (
        abs(values["all_right"] - 1) < SAME
        and abs(values["all_wrong"]) < SAME
        and abs(values["every_other"] - expected) < 1e-2
    )
    if answer.form == "numbers" or not is_share:
        return
    for sure in (0.05, 0.3):
        unsure = mapped(wrong, partial(less_sure, form=answer.form, sure=sure))
        stand_in = StandIn(table, blended(perfect, unsure, every_other))
        with program.kept(seed=0):
            value = float(program.evaluate(stand_in, program.val))
        # with another threshold than a half some unsure answers are right, with none left out all that count are
        if not stand_in.strange and abs(value - values["all_right"]) < 0.02:
            message = f"half of the answers are wrong but unsure, and the metric says {value:.2f}: those are left out"
            yield Finding("dropped-rows", "error", message, {"metric": value, "expected": expected}, "count every row")
            return
