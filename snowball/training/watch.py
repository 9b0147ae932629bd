"""Watch: what goes wrong while it trains, from the loop's own log, and now and then from one step seen from near.

A look changes nothing: it draws no random number, keeps no gradient and does no arithmetic on the weights, so that a
training that is watched gives the same bits. What looks suspicious in one step is tried on a copy of the network before
it is said. Errors are for direct evidence alone, such as weights that could not have moved; all else is a warning.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from ..finding import Finding, Severity
from ..rng import SampleRandom
from ..transfer import within
from .optimisers import warmup_steps

if TYPE_CHECKING:
    from .loop import Trainer

__all__ = ["Look", "Watch"]

EVERY = 200  # steps between two looks: one costs about half a step of a small network, see docs/benchmarks.md
FIRST = 20  # the first look: after the initial weights' own transient
TRIED = 8  # batches on which a suspicion is tried, or as many more as make TRIED_ROWS rows, up to MOST_TRIED
TRIED_ROWS = 256
MOST_TRIED = 64
UNITS = 8  # units in a layer, at least, before a share of them means anything
DEAD = 0.5  # share of a layer's units: a warning; from NEARLY_ALL on an error
NEARLY_ALL = 0.8
JUMP = 100.0  # a gradient this many times as long as the longest before it; healthy ones stay within 10
STILL = 0.01  # of their own length that weights could move in all steps together, if every step went the same way
RESTLESS = 0.02  # of their own length that weights move in one step; 1e-4 to 1e-2 are usual
PLATEAU = 0.97  # of what guessing loses
MOST_ASLEEP = 0.5  # share of the steps that a schedule may spend below ASLEEP of its peak
ASLEEP = 1e-3
ENOUGH = 50  # steps, before a loss that does not fall means anything


@dataclass(frozen=True)
class Look:
    """One step seen from near."""

    step: int
    norm: float
    """Length of the gradient, before it is clipped."""
    ratio: float
    """How far the step moved the weights, as a share of their own length: the median over matrices."""
    still: tuple[str, ...] = ()
    """Parameters without a gradient."""
    refused: tuple[str, ...] = ()
    """Parameters with a gradient that the step did not move."""
    silent: tuple[str, ...] = ()
    """Weights of layers of which DEAD or more units get no gradient."""


class _Before:
    """The weights and what is known of the gradients before the optimiser steps.

    The copy of the weights takes memory that the batch's activations have just given back.
    """

    def __init__(self, trainer: Trainer) -> None:
        self.step = trainer.step
        self.named = {name: p for name, p in trainer.model.named_parameters() if p.requires_grad}
        self.weights = [p.detach().clone() for p in self.named.values()]
        self.norms = _norms([p.grad for p in self.named.values()], trainer.device)  # (P,), 0 where there is none
        layers = [name for name in _layer_weights(trainer) if name in self.named]  # what is shared has one name
        self.layers = [name for name in layers if self.named[name].grad is not None]
        shares = [_silent_rows(self.named[name]).float().mean() for name in self.layers]
        self.silent = torch.stack(shares) if shares else torch.zeros(0)  # (L,)

    def after(self, trainer: Trainer) -> Look:
        """What the step did."""
        moved = _norms(
            [now.detach() - was for now, was in zip(self.named.values(), self.weights, strict=True)], trainer.device
        )
        lengths = _norms(self.weights, trainer.device)
        shares, norms, moves, sizes = (part.tolist() for part in (self.silent, self.norms, moved, lengths))
        rates = {id(p): group["lr"] for o in trainer.optimisers for group in o.param_groups for p in group["params"]}
        still, refused, ratios = [], [], []
        for (name, p), norm, move, size in zip(self.named.items(), norms, moves, sizes, strict=True):
            rate = rates.get(id(p), 0.0)
            asleep = id(p) in rates and rate == 0
            if norm == 0 and not asleep:
                still.append(name)
            elif move == 0 and not asleep and (id(p) not in rates or rate * norm > 1e-5 * size):
                refused.append(name)  # what is shorter than that may be rounded away
            if p.dim() > 1 and size > 0 and not asleep:
                ratios.append(move / size)
        return Look(
            step=self.step,
            norm=math.sqrt(sum(norm * norm for norm in norms)),
            ratio=sorted(ratios)[len(ratios) // 2] if ratios else 0.0,
            still=tuple(still),
            refused=tuple(refused),
            silent=tuple(name for name, share in zip(self.layers, shares, strict=True) if share >= DEAD),
        )


def _norms(tensors: Sequence[Tensor | None], device: torch.device) -> Tensor:
    zero = torch.zeros((), device=device)
    given = [tensor.detach() for tensor in tensors if tensor is not None]
    lengths = iter(torch._foreach_norm(given) if given else ())
    return torch.stack([zero if tensor is None else next(lengths).float() for tensor in tensors])


def _layer_weights(trainer: Trainer) -> list[str]:
    """Weights (units, ...) of layers below the head: an answer that never occurs leaves a unit of the head silent."""
    head = trainer.task.head(trainer.model)
    return [
        f"{name}.weight"
        for name, module in trainer.model.named_modules()
        if isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
        and (weight := module._parameters.get("weight")) is not None  # an adapted one is computed
        and weight.requires_grad
        and len(weight) >= UNITS
        and not within(name, head)
    ]


def _silent_rows(weight: Tensor) -> Tensor:
    """(units,) whose weights get no gradient."""
    assert weight.grad is not None
    return weight.grad.reshape(len(weight), -1).abs().amax(1) == 0


class Watch:
    """Looks at a trainer's steps and log, and says each thing once. All that it remembers is in the progress."""

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._before: _Before | None = None
        self._look: Look | None = None

    def before_step(self) -> None:
        """Gradients are there, the optimiser has not stepped."""
        step = self._trainer.step
        if step and (step % EVERY == 0 or step in (FIRST, self._trainer.num_steps // 2)):
            self._before = _Before(self._trainer)

    def after_step(self) -> None:
        """The optimiser has stepped; gradients may be gone."""
        if self._before is not None:
            self._look, self._before = self._before.after(self._trainer), None

    def of_step(self) -> list[Finding]:
        """What the look at the last step shows, if there was one."""
        if self._look is None:
            return []
        look, self._look = self._look, None
        suspected = self._suspected(look)
        found = list(self._judged(look, suspected))
        seen = {"step": look.step, "norm": look.norm, "ratio": look.ratio, "suspected": sorted(suspected)}
        self._trainer.progress.looks.append(seen)
        return found

    def _suspected(self, look: Look) -> set[str]:
        """Parameters that are to be tried: after twice as many steps at the soonest, so that trying costs little."""
        looks = self._trainer.progress.looks
        tried = {name: past["step"] for past in looks for name in past["suspected"]}
        return {name for name in {*look.still, *look.silent} if look.step >= 2 * tried.get(name, 0)}

    def _judged(self, look: Look, suspected: set[str]) -> Iterator[Finding]:
        earlier = [past["norm"] for past in self._trainer.progress.looks]
        where = {"step": look.step, "norm": look.norm}
        if not math.isfinite(look.norm):
            message = f"a gradient is not finite at step {look.step}"
            yield Finding("non-finite", "error", message, where, "lower optim.lr, set train.clip=1, look for log(0)")
            return
        if earlier and look.norm > JUMP * max(earlier) > 0 and self._trainer.recipe.train.clip is None:
            message = f"the gradient at step {look.step} is {look.norm / max(earlier):.0f} times as long as any before"
            evidence = {**where, "longest_before": max(earlier)}
            yield Finding("exploding-gradients", "warning", message, evidence, "set train.clip=1, or lower optim.lr")
        if look.refused:
            message = f"{_named(look.refused)} got gradients at step {look.step}, and the step did not move them"
            evidence = {"step": look.step, "parameters": list(look.refused[:20])}
            fix = "give the optimiser every parameter, after the network's last change"
            yield Finding("frozen-parameters", "error", message, evidence, fix)
        if suspected:
            yield from self._tried(look, suspected)

    def _tried(self, look: Look, suspected: set[str]) -> Iterator[Finding]:
        """Batches of training rows on a copy of the network: what stays without a gradient on all of them."""
        trainer = self._trainer
        model = copy.deepcopy(trainer.model)
        named = dict(model.named_parameters())
        silent = {
            name: torch.ones(len(named[name]), dtype=torch.bool, device=trainer.device)
            for name in suspected.intersection(look.silent)
        }
        still, rows = suspected.intersection(look.still), trainer.splits["train"]
        size = trainer.recipe.train.batch_size
        tried = min(MOST_TRIED, max(TRIED, TRIED_ROWS // size))
        with torch.random.fork_rng(devices=_devices(trainer)):
            for number in range(tried):
                batch = trainer.encoded.batch(rows[number::tried][:size])
                if not len(batch):
                    continue
                batch = trainer.task.augment(
                    batch, SampleRandom(trainer.recipe.train.seed, trainer.progress.epoch, batch.index)
                )
                with trainer.autocast():
                    loss = trainer.task.loss(trainer.task.forward(model, batch), batch)
                model.zero_grad(set_to_none=True)
                loss.backward()
                still = {name for name in still if (grad := named[name].grad) is None or not bool(grad.any())}
                for name, dead in silent.items():
                    if named[name].grad is not None:
                        dead &= _silent_rows(named[name])
        shares = {name: float(dead.float().mean()) for name, dead in silent.items()}
        dead_layers = {name: round(share, 3) for name, share in shares.items() if share >= DEAD}
        if dead_layers:
            worst = max(dead_layers, key=lambda name: dead_layers[name])
            message = (
                f"{dead_layers[worst]:.0%} of the units of {worst} get no gradient from {tried} batches at step"
                f" {look.step}: they are dead"
            )
            severity: Severity = "error" if dead_layers[worst] >= NEARLY_ALL else "warning"
            fix = "lower optim.lr, add schedule.warmup=0.1, or use a leaky activation"
            yield Finding("dead-units", severity, message, {"step": look.step, "share": dead_layers}, fix)
        if still and 1.0 not in dead_layers.values():  # what feeds a dead layer gets no gradient either
            whole = sum(p.numel() for p in model.parameters() if p.requires_grad)
            count = sum(named[name].numel() for name in still)
            message = f"{_named(sorted(still))} get no gradient from {tried} batches: they stay as they are"
            evidence = {"step": look.step, "parameters": sorted(still)[:20], "weights": count, "of": whole}
            fix = "take them out of the network, or use what they give"
            yield Finding("frozen-parameters", "error" if count == whole else "warning", message, evidence, fix)

    def of_epoch(self) -> list[Finding]:
        """What the log shows at the end of an epoch."""
        trainer = self._trainer
        found = list(self._of_loss()) if trainer.over or 2 * trainer.step >= trainer.num_steps else []
        return found + (list(_of_schedule(trainer)) + list(_of_gap(trainer.progress.epochs())) if trainer.over else [])

    def _of_loss(self) -> Iterator[Finding]:
        """A loss far above where it began, or no lower than guessing's after half of the steps behind the warm-up."""
        trainer = self._trainer
        losses = _windows(trainer.progress.log)
        if trainer.step < ENOUGH or len(losses) < 10:
            return
        recent = losses[-max(2, len(losses) // 5) :]
        now, lowest, first = sum(recent) / len(recent), min(losses), losses[0]
        if now < 0.5 * first and now < 2 * lowest:
            return
        ratios = [look["ratio"] for look in trainer.progress.looks]
        ratio = sorted(ratios)[len(ratios) // 2] if ratios else math.nan
        chance = _chance(trainer)
        evidence = {"loss": now, "first": first, "lowest": lowest, "guessing": chance, "update_ratio": ratio}
        lower = "lower optim.lr, or add schedule.warmup=0.1 and train.clip=1"
        if now > 2 * first and now > 2 * lowest + 1 and (chance is None or now > 2 * chance + 1):
            than = f"it was {first:.3g} at first" + ("" if chance is None else f", and guessing loses {chance:.3g}")
            message = f"the training loss has come to {now:.3g}: {than}"
            yield Finding("lr-too-high", "error", message, evidence, lower)
        elif chance is not None and now > PLATEAU * chance and lowest > 0.8 * chance and self._is_due():
            steps = min(trainer.step, trainer.num_steps)
            plain = f"after {steps} steps the training loss is {now:.3f}, and guessing loses {chance:.3f}"
            if ratio * trainer.num_steps < STILL:
                message = f"{plain}: a step moves the weights by {ratio:.1g} of their length, which leads nowhere"
                yield Finding("lr-too-low", "error", message, evidence, "raise optim.lr")
            elif _falls(losses[len(losses) // 2 :]):
                return
            elif ratio > RESTLESS:
                message = f"{plain}: a step moves the weights by {ratio:.1%} of their length"
                yield Finding("lr-too-high", "warning", message, evidence, lower)
            else:
                fix = "look at the findings of the pre-flight, train longer, or try another optim.lr"
                yield Finding("not-learning", "warning", plain, evidence, fix)

    def _is_due(self) -> bool:
        """Whether something must have been learned by now: half of the steps behind the warm-up are done, or all."""
        trainer = self._trainer
        rise = warmup_steps(trainer.recipe.schedule, trainer.num_steps)
        return trainer.over or 2 * (trainer.step - rise) >= trainer.num_steps - rise


def _devices(trainer: Trainer) -> list[torch.device]:
    """Those beside the CPU whose random state has to be put back."""
    return [trainer.device] if trainer.device.type == "cuda" else []


def _named(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{len(names)} parameters, e.g. {names[0]},"


def _windows(log: Sequence[Mapping[str, Any]]) -> list[float]:
    """Mean loss between each two rows of the log, which holds means since the epoch began."""
    losses: list[float] = []
    epoch, begun, before, total = -1, 0, 0, 0.0
    for row in log:
        if row["epoch"] != epoch:
            epoch, begun, total = row["epoch"], before, 0.0
        if row["step"] == before:
            continue
        summed = row["loss"] * (row["step"] - begun)
        losses.append((summed - total) / (row["step"] - before))
        before, total = row["step"], summed
    return losses


def _falls(losses: Sequence[float]) -> bool:
    """Whether losses fall from first to last, beyond chance (Kendall, 1938)."""
    from scipy.stats import kendalltau

    return bool(kendalltau(range(len(losses)), losses, alternative="less").pvalue < 0.05)


@torch.no_grad()
def _chance(trainer: Trainer) -> float | None:
    """What guessing loses on a batch of training rows, where that is known."""
    batch = trainer.encoded.batch(trainer.splits["train"][: trainer.recipe.train.batch_size])
    model = copy.deepcopy(trainer.model).eval()
    with torch.random.fork_rng(devices=_devices(trainer)):
        outputs = trainer.task.forward(model, batch)
    return trainer.task.answer_kind.chance_loss(outputs, batch.targets[trainer.task.answer_role])


def _of_schedule(trainer: Trainer) -> Iterator[Finding]:
    """Learning rates as they were used: asleep for most of the training, or still rising at its end."""
    lrs = [row["lr"] for row in trainer.progress.log if row["lr"] > 0]
    if len(lrs) < 10:
        return
    peak = max(lrs)
    asleep = sum(lr < ASLEEP * peak for lr in lrs) / len(lrs)
    evidence = {"highest": peak, "last": lrs[-1], "share_asleep": round(asleep, 3)}
    if asleep > MOST_ASLEEP:
        message = f"{asleep:.0%} of the training is spent below a thousandth of the highest learning rate, {peak:.2g}"
        fix = "let it fall more slowly: schedule=cosine falls over all steps"
        yield Finding("schedule", "warning", message, evidence, fix)
    elif trainer.recipe.schedule.warmup > MOST_ASLEEP and lrs[-1] > 0.9 * peak:
        message = f"the learning rate still rises when the training ends, at {lrs[-1]:.2g}"
        yield Finding("schedule", "warning", message, evidence, "lower schedule.warmup: 0.05 to 0.3 are usual")


def _of_gap(epochs: Sequence[Mapping[str, Any]]) -> Iterator[Finding]:
    """Validation loss that has doubled since its best epoch while the training loss halved."""
    if len(epochs) < 4:
        return
    best = min(epochs, key=lambda row: float(row["val_loss"]))
    last = epochs[-1]
    if last["val_loss"] > 2 * best["val_loss"] and last["loss"] < 0.5 * best["loss"]:
        message = (
            f"since epoch {best['epoch'] + 1} the validation loss went from {best['val_loss']:.3g} to"
            f" {last['val_loss']:.3g}, the training loss from {best['loss']:.3g} to {last['loss']:.3g}"
        )
        evidence = {"epoch": best["epoch"], "val_loss": [best["val_loss"], last["val_loss"]]}
        yield Finding("overfitting", "note", message, evidence, "train.patience=3, more augmentation, or fewer epochs")
