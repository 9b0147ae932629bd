"""Labels that look wrong: confident learning (Northcutt et al., 2021, arXiv 1911.00068) on out-of-fold probabilities.

Networks of the task itself, trained as the recipe says, answer rows that they did not see; cleanlab compares what they
say with what the rows are labelled as. N rows, C classes.
"""

from __future__ import annotations

import importlib.util
import math
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from pydantic import Field

from ..collect.encode import Encoded
from ..collect.folds import deal_folds, whole_units
from ..collect.prepare import Prepared
from ..display import Display
from ..finding import BadInput, Finding
from ..recipe import Section
from ..table import Table
from ..task import Task
from .machine import choose_device, keep_freed_memory, measured_recipe
from .out_of_fold import TOO_FEW, Dealt, OutOfFold, answer_out_of_fold

__all__ = ["AuditSection", "audit_labels", "check_can_audit_labels"]

SHOWN = 10  # rows that a terminal shows; --json and -o name all
PAIRS = 20  # pairs of classes in the evidence
MOST_WRONG = (
    0.2  # share of labels that look wrong above which leaving them out would teach a poor network its own errors
)
GOOD = 0.95  # of the labels left: on digits 99 %, and the estimate is right; on Fashion-MNIST 85 %, and it is not


class AuditSection(Section):
    """What `snowball audit` does only where it is asked to."""

    key = "audit"

    labels: bool = False
    """Look for wrong labels: networks are trained as the recipe says, each without a part of the rows, and answer
    that part. For answers that are one of a set of classes; takes `pip install 'snowball[audit]'`."""
    folds: int = Field(5, ge=2, le=100)
    """`labels`: the parts that the rows are dealt into, which is how many networks a round trains."""
    rounds: int = Field(2, ge=1, le=5)
    """`labels`: each round after the first is trained without the rows that the one before found wrong."""


def check_can_audit_labels() -> None:
    """Raises BadInput where what finds wrong labels is not installed: said before anything is read or trained."""
    if importlib.util.find_spec("cleanlab") is None:
        raise BadInput("audit.labels looks for wrong labels with cleanlab: pip install 'snowball[audit]'")


def audit_labels(prepared: Prepared, asked: AuditSection, display: Display) -> list[Finding]:
    """The finding `label-noise`, or nothing where every label looks right.

    Raises BadInput where answers are no classes, and where there are too few rows to deal.
    """
    check_can_audit_labels()
    task = prepared.task
    if task.answer_kind.classes is None:
        column = task.schema.columns[task.answer_role].column
        raise BadInput(
            f"audit.labels compares rows by their class; {task.name} answers with {column!r}, a {task.answer_kind.key}:"
            " leave it out, or name a column of labels with answer=COLUMN"
        )
    keep_freed_memory()
    device = choose_device(task.recipe.train.device)
    encoded = prepared.encoded.to(device)
    dealt = _dealt(task, prepared.table, encoded, asked.folds)
    first = torch.as_tensor(dealt.rows[: task.recipe.train.batch_size], device=encoded.index_device)
    task.recipe = measured_recipe(task, encoded.batch(first), device)
    display.line(
        f"labels: {len(dealt.rows):,} rows in {asked.folds} parts, each answered by a network"
        f" ({task.recipe.model.name}) that learns from the others"
    )
    learned = np.ones(len(dealt.rows), dtype=bool)
    for number in range(1, asked.rounds + 1):
        what = f"labels, round {number}" if asked.rounds > 1 else "labels"
        found = answer_out_of_fold(task, encoded, dealt, learned, what, display)
        wrong = _wrong(dealt.given, found)
        if len(wrong) > MOST_WRONG * len(dealt.rows):
            if number < asked.rounds:
                display.line(f"labels: {len(wrong):,} look wrong, too many to learn without them: no further round")
            break
        learned = np.ones(len(dealt.rows), dtype=bool)
        learned[wrong] = False
    about = {"folds": asked.folds, "rounds": number}
    return _findings(task, prepared.table, dealt, found, wrong, about, display)


def _dealt(task: Task, table: Table, encoded: Encoded, num_folds: int) -> Dealt:
    """Every readable row of the source, of whatever split, in folds; groups and exact copies are kept together."""
    rows = np.array([row for row in range(len(table)) if table.is_own(row) and row not in encoded.bad], dtype=np.int64)
    data = task.recipe.data
    groups = table.groups if data.group is None else [str(cell) for cell in table.column(data.group).cells]
    copies = [encoded.digests[row].rpartition(" ")[0] for row in rows]
    units = whole_units(copies, None if groups is None else [groups[row] for row in rows], num_rows=len(rows))
    given = encoded.targets[task.answer_role].index_select(0, torch.as_tensor(rows, device=encoded.index_device))
    labels = given.cpu().numpy()
    seed = task.recipe.train.seed
    folds = deal_folds(units, labels.tolist(), num_folds, seed, by_time=data.split == "time")
    num_units = int(units.max()) + 1
    # Of the units that a network does not answer for, one at least is learned from and one chooses the epoch.
    if num_units < num_folds or min(len(np.unique(units[folds != fold])) for fold in range(num_folds)) < 2:
        what = "groups of rows" if num_units < len(rows) else "rows"
        raise BadInput(
            f"{table.name}: {num_units} {what} are too few for audit.folds={num_folds}: fewer folds, or more rows;"
            " copies and rows of one group stand together"
        )
    return Dealt(rows, labels, units, folds)


def _wrong(given: np.ndarray, found: OutOfFold) -> np.ndarray:
    """Places of the labels that look wrong, the surest first.

    Those whose own class is less probable than that class is on average where it is given. That leaves out wrong
    labels that a network takes for half right; a good one, which agrees with nearly all that is left, also says how
    many labels are wrong, and as many are named.
    """
    from cleanlab.filter import find_label_issues

    known = np.flatnonzero(found.known)
    if len(np.unique(given[known])) < 2:
        return known[:0]
    # n_jobs: by default a process is forked for each core, which the threads of PyTorch do not survive
    ranked = find_label_issues(
        given[known],
        found.probabilities[known],
        filter_by="low_self_confidence",
        return_indices_ranked_by="self_confidence",
        n_jobs=1,
    )
    own = found.probabilities[np.arange(len(given)), given]
    answered = found.probabilities.argmax(1)
    wrong: np.ndarray = known[ranked]
    wrong = wrong[answered[wrong] != given[wrong]]
    left = np.setdiff1d(known, wrong)
    if len(left) and (answered[left] == given[left]).mean() >= GOOD:
        count = round(_estimated_share(given[known], found.probabilities[known]) * len(known))
        doubted = known[answered[known] != given[known]]
        most = doubted[np.argsort(own[doubted], kind="stable")][:count]
        wrong = most if len(most) > len(wrong) else wrong
    return wrong


def _findings(
    task: Task,
    table: Table,
    dealt: Dealt,
    found: OutOfFold,
    wrong: np.ndarray,
    about: dict[str, Any],
    display: Display,
) -> list[Finding]:
    classes = task.answer_kind.classes
    assert classes is not None
    if len(np.unique(dealt.given[found.known])) < 2:
        message = f"labels cannot be judged: fewer than two classes have {TOO_FEW} rows to learn from in each fold"
        return [Finding("label-noise", "note", message, {"rows": len(dealt.rows)}, "collect more rows of each class")]
    evidence = {**_evidence(dealt.given, found, classes), **about, "network": task.recipe.model.name}
    agreement, constant, checked = evidence["agreement"], evidence["constant"], evidence["checked"]
    if (agreement - constant) * math.sqrt(checked) <= 2 * math.sqrt(constant * (1 - constant)):
        message = (
            f"labels cannot be judged: networks agree with {agreement:.1%} of the labels of rows they did not see, and"
            f" one constant answer with {constant:.1%}"
        )
        fix = "look at the other findings; train longer or another network: train.epochs, model"
        return [Finding("label-noise", "note", message, evidence, fix)]
    if not len(wrong):
        return []
    rows = _named(table, dealt, found, wrong, classes)
    for row in rows[:SHOWN]:
        display.line(f"  {row['where']}: {row['given']}, rather {row['suggested']} ({row['sure']:.1%})")
    if len(rows) > SHOWN:
        display.line(f"  and {len(rows) - SHOWN:,} more: -o FINDINGS.json or --json names them all")
    pairs = Counter((row["given"], row["suggested"]) for row in rows).most_common(PAIRS)
    evidence["pairs"] = [{"given": given, "suggested": said, "count": count} for (given, said), count in pairs]
    message = (
        f"{len(rows):,} of {checked:,} labels look wrong ({evidence['estimated_share']:.1%} by estimate), e.g."
        f" {rows[0]['where']}: {rows[0]['given']}, rather {rows[0]['suggested']}"
    )
    fix = "look at these rows, the surest stand first: mend their labels, or leave them out"
    return [Finding("label-noise", "warning", message, {"count": len(rows), **evidence, "rows": rows}, fix)]


def _named(
    table: Table, dealt: Dealt, found: OutOfFold, wrong: np.ndarray, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """Each row that looks wrong: where it stands, what it is labelled as, what it looks like, and how sure that is."""
    suggested = found.probabilities.argmax(1)
    return [
        {
            "where": table.where(int(dealt.rows[place])),
            "row": int(dealt.rows[place]),
            "given": classes[dealt.given[place]],
            "suggested": classes[suggested[place]],
            "sure": round(float(found.probabilities[place, suggested[place]]), 4),
            "sure_of_given": round(float(found.probabilities[place, dealt.given[place]]), 4),
        }
        for place in wrong
    ]


def _evidence(given: np.ndarray, found: OutOfFold, classes: Sequence[str]) -> dict[str, Any]:
    """How many rows were judged, how far the networks agree with their labels, and what share is estimated wrong."""
    labels, probabilities = given[found.known], found.probabilities[found.known]
    unknown = Counter(classes[label] for label in given[~found.known])
    return {
        "checked": len(labels),
        "too_rare": dict(unknown.most_common(PAIRS)),
        "agreement": round(float((probabilities.argmax(1) == labels).mean()), 4),
        "constant": round(float(np.bincount(labels).max() / len(labels)), 4),
        "estimated_share": round(_estimated_share(labels, probabilities), 4),
    }


def _estimated_share(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """The share of wrong labels: what lies off the diagonal of the joint distribution of given and true labels."""
    from cleanlab.count import estimate_joint

    # (C, C) shares of rows, scaled so that each given label is as frequent as it is
    return 1 - float(estimate_joint(labels, probabilities).trace())
