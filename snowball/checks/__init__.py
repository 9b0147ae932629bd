"""Checks of any PyTorch training program: what fails silently, found before it costs a training.

`check_program` is handed the parts of a program (see `program.KEYS`), makes experiments on them, and puts everything
back. Checks are differential where they can be: one thing is changed, and what must move or must stay is compared.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from ..finding import BadInput, Finding, worst_first
from . import (
    augment,
    beginning,
    curve,
    dependence,
    detached,
    draws,
    evaluation,
    labels,
    layers,
    leak,
    learning,
    loss,
    loss_input,
    metric,
    minimum,
    mismatch,
    overlap,
    padding,
    rows,
    stepping,
)
from .lab import Lab, OutOfTime
from .program import KEYS, Program

__all__ = ["CHECKS", "KEYS", "Program", "Verdict", "check_program"]

SECONDS = 55.0
# In the order in which one bug hides another: what breaks a contract comes before what only trains badly.
CHECKS = (
    beginning.finite_rows,
    rows.constant_input,
    learning.unregistered,
    learning.symmetry,
    layers.silent_units,
    learning.weights,
    dependence.eval_mode,
    dependence.batch_mixing,
    dependence.time_leak,
    loss.broadcast,
    loss_input.loss_input,
    loss.uses_targets,
    loss.clipped,
    minimum.silent_label,
    minimum.minimiser,
    minimum.against_the_metric,
    minimum.kin_apart,
    stepping.step,
    detached.untaught,
    detached.detached,
    detached.cut_where_drawn,
    dependence.input_ignored,
    padding.hidden_words,
    padding.padding_leak,
    layers.nonlinearity,
    evaluation.dropped_rows,
    metric.metric,
    overlap.split_overlap,
    leak.target_leak,
    draws.worker_seeds,
    beginning.finite,
    rows.unshuffled,
    labels.relation,
    mismatch.row_by_row,
    mismatch.other_scale,
    mismatch.other_order,
    mismatch.other_words,
    augment.undone,
    curve.weight_decay,
    draws.drawn_rarer,
    rows.weighs_the_rare_less,
    rows.class_imbalance,
    beginning.initial,
    rows.input_scale,
    layers.dead_units,
    curve.schedule,
    curve.output_bias,
    curve.learning_rate,
)


@dataclass(frozen=True)
class Verdict:
    """What the checks say of a program."""

    findings: list[Finding]
    untested: dict[str, str]
    """Check -> why it could not be made."""

    @property
    def verdict(self) -> Literal["fail", "pass", "abstain"]:
        if any(finding.severity == "error" for finding in self.findings):
            return "fail"
        return "abstain" if self.untested else "pass"


def check_program(parts: Mapping[str, Any], seconds: float = SECONDS) -> Verdict:
    """Look for silent bugs in a program's parts; its state is as before when this returns.

    Raises BadInput where the parts do not make a program: a key that is missing or unknown, a model that cannot be
    called with its batches.
    """
    lab = Lab(Program.of(parts), seconds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the program's own code, which runs many times here
        _tried(lab)
        found, untested = _findings(lab)
    return Verdict(worst_first(_once(found)), untested)


def _findings(lab: Lab) -> tuple[list[Finding], dict[str, str]]:
    found: list[Finding] = []
    untested: dict[str, str] = {}
    for check in CHECKS:
        try:
            if lab.left < 0:
                raise OutOfTime(f"{lab.seconds:.0f} s are up")
            found += check(lab)
        except OutOfTime as error:
            untested[check.__name__] = str(error)
        except Exception as error:  # the program's own code may raise anything; the other checks go on
            said = next(iter(str(error).splitlines()), "")
            untested[check.__name__] = f"{type(error).__name__}: {said}"[:200]
    return found, untested


def _once(found: list[Finding]) -> list[Finding]:
    """One finding of a name, the worst."""
    best: dict[str, Finding] = {}
    for finding in worst_first(found):
        best.setdefault(finding.check, finding)
    return [finding for finding in found if best[finding.check] is finding]


def _tried(lab: Lab) -> None:
    """One batch through model and loss, so that a program that cannot run at all is told so in one line."""
    try:
        with lab.program.kept(seed=0):
            inputs, targets = lab.first_batch
            value = lab.program.loss(lab.outputs(inputs, training=True), targets)
            float(value.detach().mean())
    except (BadInput, KeyboardInterrupt):
        raise
    except StopIteration as error:
        raise BadInput("'train' gives no batch") from error
    except Exception as error:  # the program's own code may raise anything
        raise BadInput(
            f"model and loss cannot be called with the first training batch: {type(error).__name__}: {error}"
        ) from error
