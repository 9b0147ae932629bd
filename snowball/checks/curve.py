"""Checks of how the program learns: the same training with one thing changed.

What is suspected by a cheap sign is tested by training once more, so that a finding says what the change would bring.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sized
from contextlib import suppress
from typing import Any

import torch

from ..finding import Finding, Severity
from .experiment import CLEAR, FASTER, SLOWER, Change, Outcome
from .lab import Lab

__all__ = ["learning_rate", "output_bias", "schedule", "weight_decay"]

USUAL_DECAY = 1e-2
USUAL_PENALTY = 1e-3  # in Adam, which divides a penalty by the size of gradients, so that it outgrows small ones
EACH_BATCH = "step it as often as its length counts: after each batch"
USUAL_RATE = 1e-3  # Adam's own default
BEYOND = 100  # times the training's steps, that a warm-up is followed
LOW = 1e-3  # of the highest learning rate: below it hardly anything moves


def schedule(lab: Lab) -> Iterator[Finding]:
    """The learning rates that were used, and the same training at their highest throughout."""
    program, own = lab.program, lab.own
    if program.scheduler is None:
        return
    attached = getattr(program.scheduler, "optimizer", program.optimizer)
    if program.optimizer is not None and attached is not program.optimizer:
        message = "the scheduler steers another optimiser than the one that steps"
        yield Finding("schedule", "error", message, {}, "make the scheduler of the optimiser that is used")
        return
    lrs = _planned(lab, each=program.scheduler_step == "batch") if own.cut else own.lrs
    if not lrs:
        return
    peak = max(lrs)
    asleep = sum(lr < LOW * peak for lr in lrs) / len(lrs)
    small = sum(lr < 0.1 * peak for lr in lrs) / len(lrs)
    groups = [] if program.optimizer is None else program.optimizer.param_groups
    meant = max((float(group.get(key, 0.0)) for group in groups for key in ("max_lr", "initial_lr")), default=0.0)
    rises = (lrs[-1] > 1.01 * lrs[0] or meant > 2 * peak) and lrs[-1] >= 0.99 * peak and len(set(lrs)) > 2
    # What the schedule does by itself tells without another training, for which a slow program has no time.
    if rises and program.scheduler_step == "epoch" and meant > 2 * peak:
        fits = _fits_batches(lab, meant)
        if fits or (own.cut and meant > 4 * peak):
            message = f"stepped once an epoch the schedule rises to {peak:.2g} of the {meant:.2g} it is made for"
            message += "; stepped once a batch, it reaches that and ends near 0 with the training" if fits else ""
            yield Finding("schedule", "error", message, {"highest": peak, "meant": meant}, EACH_BATCH)
            return
    if own.cut:
        return
    rebounds = _rebounds(lrs)
    evidence: dict[str, Any] = {
        "highest": peak,
        "last": lrs[-1],
        "share_below_a_tenth": round(small, 3),
        "share_asleep": round(asleep, 3),
        "rebounds": rebounds,
    }
    if small < 0.35 and not rises and rebounds < 2:
        return
    steady = lab.outcome(Change("the highest learning rate throughout", constant_lr=True))
    first = (
        lab.outcome(Change("the first learning rate throughout", constant_lr=True, lr=lrs[0] / peak))
        if rises
        else steady
    )
    gain = max(own.gain(steady), own.gain(first))
    if rises and program.scheduler_step == "batch" and meant > 2 * peak and _warms_up_beyond(lab, len(lrs), meant):
        gain_meant = own.gain(lab.outcome(Change("the rate it is made for", constant_lr=True, lr=meant / peak)))
        if gain_meant > max(0.01, own.noise()):
            message = f"where the training ends the schedule still warms up, at {peak:.2g} of {meant:.2g}"
            message += f"; at that rate the program learns {gain_meant:.0%} more of what there is"
            evidence["gain"] = gain_meant
            fix = "make its length of the batches that the training has, not of its rows"
            yield Finding("schedule", "error", message, evidence, fix)
            return
    gain_by_batch = 0.0
    if rises and program.scheduler_step == "epoch":
        with suppress(ValueError):  # a schedule may refuse to be stepped more often than it is long
            gain_by_batch = own.gain(lab.outcome(Change("a step of the schedule a batch", each_batch=True)))
    evidence["gain"] = max(gain, gain_by_batch)
    # that a schedule never comes to the rate it is made for is evidence by itself
    if gain_by_batch > max(gain, max(0.03, 2 * own.noise()) if meant > 2 * peak else CLEAR):
        message = f"stepped once an epoch the schedule rises no further than {peak:.2g}"
        message += f"; stepped once a batch, the program learns {gain_by_batch:.0%} more of what there is"
        yield Finding("schedule", "error", message, evidence, EACH_BATCH)
        return
    if gain > CLEAR or (asleep > 0.5 and gain > 0.03):
        where = f"{small:.0%} of steps are taken below a tenth of the highest learning rate"
        message = f"{where}; without the schedule the program learns {gain:.0%} more of what there is"
        yield Finding(
            "schedule",
            "error",
            message,
            evidence,
            "let it decay over all steps: count batches or epochs as it is stepped",
        )


def _planned(lab: Lab, *, each: bool) -> list[float]:
    """The learning rates of a whole training, by stepping the schedule alone, `each` batch or once an epoch; none where
    its length is not known.
    """
    program, rates = lab.program, list[float]()
    if program.epochs is None or program.optimizer is None or not isinstance(program.train, Sized):
        return []
    with program.kept(seed=0), suppress(ValueError, TypeError):  # one that waits for a plateau is told the loss
        for _ in range(program.epochs * (len(program.train) if each else 1)):
            rates.append(max(float(group["lr"]) for group in program.optimizer.param_groups))
            program.scheduler.step()
    return rates


def _fits_batches(lab: Lab, meant: float) -> bool:
    """Whether a schedule reaches its rate and comes down just where a training ends that steps it each batch."""
    rates = _planned(lab, each=True)
    return len(rates) > 10 and max(rates) > 0.9 * meant and rates[-1] < 0.02 * meant


def _warms_up_beyond(lab: Lab, steps: int, meant: float) -> bool:
    """Whether a schedule that is stepped on comes to its rate, but not before twice so many steps.

    One whose rate of 1 is made small by a factor, as Vaswani et al. (2017) have it, never does.
    """
    program = lab.program
    assert program.optimizer is not None  # the rate that is meant is its
    with program.kept(seed=0), suppress(ValueError, TypeError):
        for step in range(BEYOND * steps):
            if max(float(group["lr"]) for group in program.optimizer.param_groups) > 0.99 * meant:
                return step > 2 * steps
            program.scheduler.step()
    return False


def _rebounds(lrs: list[float]) -> int:
    """How often the rate climbs again by half after it had fallen by half."""
    count, low, high, falling = 0, lrs[0], lrs[0], False
    for lr in lrs:
        if falling and lr > 1.5 * low and lr > 0:
            count, falling, high = count + 1, False, lr
        elif not falling and lr < 0.5 * high:
            falling, low = True, lr
        low, high = min(low, lr) if falling else lr, max(high, lr) if not falling else high
    return count


def _fits_better(own: Outcome, slow: Outcome) -> bool:
    """Whether training rows are fitted better at the program's own rate: slower only stops before it overfits."""
    return own.last_loss < slow.last_loss - 0.02 * abs(slow.first_loss)


def learning_rate(lab: Lab) -> Iterator[Finding]:
    """A tenth and ten times the learning rate for the same number of steps."""
    own = lab.own
    if own.cut or not own.finite or lab.program.epochs is None or lab.program.optimizer is None:
        return
    clear = max(CLEAR, 2.5 * own.noise())
    if own.learned() < 0.97 or math.isnan(own.score):
        slow = lab.outcome(SLOWER)
        down, up = own.gain(slow), 0.0
        evidence = {"learned": own.learned(), "at_a_tenth": slow.learned(), "roughness": _roughness(own)}
        if down <= clear:
            fast = lab.outcome(FASTER)
            up = own.gain(fast)
            evidence["at_ten_times"] = fast.learned()
            if up <= clear and own.last_loss > 0.7 * own.first_loss:
                up = own.gain(lab.outcome(Change("a hundred times the learning rate", lr=100.0)))
        if down > clear and not _fits_better(own, slow):
            message = (
                f"at a tenth of the learning rate the program learns {down:.0%} more of what there is in as many steps"
            )
            yield Finding("lr-too-high", "error", message, evidence, "lower the learning rate")
        elif up > clear:
            further = lab.outcome(Change("a hundred times the learning rate", lr=100.0))
            evidence["at_a_hundred_times"] = further.learned()
            message = f"at a higher learning rate the program learns {up:.0%} more of what there is in as many steps"
            # A training that is only short gains by a larger rate as well, but not by a hundred times its own, and has
            # learned most of it.
            most = max(evidence["at_ten_times"], further.learned())
            short = not math.isnan(own.score) and own.learned() > 0.5 * most
            far = own.gain(further) > clear or (up > 2 * clear and not short)
            # Adam's steps are as long as the rate, whatever the gradients: what gains above its usual rate is short.
            groups = lab.program.optimizer.param_groups
            usual = all("betas" in group for group in groups) and max(own.lrs) >= USUAL_RATE and own.learned() > 0.25
            severity: Severity = "error" if far and not usual else "warning"
            yield Finding("lr-too-low", severity, message, evidence, "raise the learning rate, or train longer")


def _roughness(outcome: Outcome) -> float:
    """How much the loss jumps from step to step in the second half, as a share of what it is."""
    half = outcome.losses[len(outcome.losses) // 2 :]
    if len(half) < 4:
        return 0.0
    jumps = [abs(a - b) for a, b in itertools.pairwise(half)]
    return sum(jumps) / len(jumps) / max(1e-9, abs(sum(half) / len(half)))


def weight_decay(lab: Lab) -> Iterator[Finding]:
    """The same training without weight decay."""
    optimizer, own = lab.program.optimizer, lab.own
    if optimizer is None or not own.finite:
        return
    decays = [float(group.get("weight_decay") or 0) for group in optimizer.param_groups]
    if max(decays, default=0.0) == 0:
        return
    without = Change("no weight decay", weight_decay=0.0)
    free = lab.outcome(without)
    gain = own.gain(free)
    # at a rate that is far too high anything that changes the path helps a little, and a lower rate much
    if gain > 0.05 and own.gain(lab.outcome(SLOWER)) < 2 * gain:
        message = f"without its weight decay of {max(decays):g} the program learns {gain:.0%} more of what there is"
        evidence = {"weight_decay": max(decays), "learned": own.learned(), "learned_without": free.learned()}
        severity: Severity = "error" if gain > CLEAR or max(decays) >= 0.1 else "warning"
        penalty = any("betas" in group and not group.get("decoupled_weight_decay") for group in optimizer.param_groups)
        if severity == "warning" and max(decays) > (USUAL_PENALTY if penalty else USUAL_DECAY):
            evidence["gain_drawn_again"] = again = lab.gain_again(without)
            severity = "error" if again > 0.05 else "warning"
        fix = "use AdamW, or 1e-4 and less" if penalty else "lower it: 1e-4 to 1e-2 are usual"
        yield Finding("weight-decay-too-high", severity, message, evidence, fix)


def output_bias(lab: Lab) -> Iterator[Finding]:
    """Targets far from 0: the same training from a last bias that begins at their mean."""
    answer = lab.answer
    targets = lab.train.targets
    if not isinstance(targets, torch.Tensor):
        return
    last = _last_layer(lab.program.model)
    if last is None or last.bias is None:
        return
    labels = targets.float().reshape(len(targets), -1)
    if answer.form == "numbers" and targets.is_floating_point():
        mean, spread = labels.mean(0), labels.std(0).mean().clamp(min=1e-9)
        with lab.program.kept(seed=0):
            from .nested import leaves

            outputs = dict(leaves(lab.outputs(lab.first_batch[0])))[answer.path]
        off = float((outputs.float().reshape(len(outputs), -1).mean(0) - mean).abs().mean() / spread)
        if off < 1 or last.bias.numel() != labels.shape[1]:
            return
    elif answer.form == "classes" and answer.one_a_row:
        shares = torch.bincount(targets.reshape(-1).clamp(min=0), minlength=answer.num_classes).float() / len(targets)
        mean = shares.clamp(min=1e-4).log()
        if last.bias.numel() != answer.num_classes or float(shares.max()) < 0.9:
            return
        off = float(shares.max())
    elif answer.form == "binary":
        share = labels.mean().clamp(1e-4, 1 - 1e-4)
        mean = (share / (1 - share)).log().reshape(1)
        scores = answer.scores
        first = scores.clamp(1e-6, 1 - 1e-6).logit() if bool(((scores >= 0) & (scores <= 1)).all()) else scores
        off = float((first.mean() - mean).abs())
        if off < 3 or last.bias.numel() != 1:  # 3: the odds are wrong twentyfold
            return
    else:
        return

    bias = last.bias

    def begin(model: torch.nn.Module) -> None:
        with torch.no_grad():
            bias.copy_(mean.to(bias))

    own, other = lab.own, lab.outcome(Change("a last bias at the targets' mean", prepare=begin))
    gain = own.gain(other)
    if gain > CLEAR:
        message = (
            f"outputs begin {off:.1f}{' spreads of the targets' if answer.form == 'numbers' else ''} away from what is"
            f" usual; from a last bias that begins there the program learns {gain:.0%} more"
        )
        evidence = {"off": off, "learned": own.learned(), "learned_from_there": other.learned()}
        yield Finding(
            "output-bias",
            "error",
            message,
            evidence,
            "begin the last bias at the targets' mean (or log shares), or standardise them",
        )


def _last_layer(model: torch.nn.Module) -> torch.nn.Linear | torch.nn.modules.conv._ConvNd | None:
    kinds = (torch.nn.Linear, torch.nn.modules.conv._ConvNd)
    found = [m for m in model.modules() if isinstance(m, kinds)]
    return found[-1] if found else None
