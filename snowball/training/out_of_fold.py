"""Out-of-fold probabilities: what networks say of rows that they were not trained on, for every row of a table.

N rows that are looked at, C classes.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from ..collect.encode import Encoded
from ..collect.folds import deal_folds
from ..display import Display
from ..task import Task
from .epochs import evaluation_batches
from .in_memory import fit_in_memory
from .loop import as_rows, training_rows

__all__ = ["TOO_FEW", "Dealt", "OutOfFold", "answer_out_of_fold"]

TOO_FEW = 5  # training rows of a class below which a network cannot be asked for it: an audit calls such classes rare


@dataclass(frozen=True)
class Dealt:
    """Rows that are looked at, dealt into folds."""

    rows: np.ndarray
    """(N,) their numbers in the table."""
    given: np.ndarray
    """(N,) the class that each is labelled as."""
    units: np.ndarray
    """(N,) rows with one number stand together: those of a group, and copies of each other."""
    folds: np.ndarray
    """(N,) the fold that each is answered in, from 0."""


@dataclass(frozen=True)
class OutOfFold:
    """What the networks said."""

    probabilities: np.ndarray
    """(N, C)"""
    known: np.ndarray
    """(N,) whether a row's network had seen enough rows of the class that the row is labelled as."""


def answer_out_of_fold(
    task: Task, encoded: Encoded, dealt: Dealt, learned: np.ndarray, what: str, display: Display
) -> OutOfFold:
    """Train one network a fold, as the recipe says, on those rows of the other folds that are `learned` (N,).

    A share of these, `data.val`, chooses the epoch whose weights are kept, as in any training: no network knows the
    labels of the rows it answers for.
    """
    num_folds = int(dealt.folds.max()) + 1
    probabilities = np.zeros((len(dealt.rows), task.answer_kind.num_outputs), dtype=np.float32)
    known = np.zeros(len(dealt.rows), dtype=bool)
    for fold in range(num_folds):
        started = time.perf_counter()
        held, others = np.flatnonzero(dealt.folds == fold), np.flatnonzero((dealt.folds != fold) & learned)
        chosen = _chosen_by(task, dealt, others)
        inside = others[~chosen]
        seen = np.bincount(dealt.given[inside], minlength=probabilities.shape[1])
        known[held] = seen[dealt.given[held]] >= TOO_FEW
        splits = {"train": _learned_rows(task, encoded, dealt.rows[inside]), "val": dealt.rows[others[chosen]]}
        model, epochs = _trained(task, encoded, as_rows(splits, encoded.index_device), f"{what}, {fold + 1}", display)
        probabilities[held] = _answers(task, model, encoded, dealt.rows[held])
        agrees = (probabilities[held].argmax(1) == dealt.given[held]).mean()
        display.line(
            f"{what}, {fold + 1} of {num_folds}: {epochs} epoch{'s' * (epochs != 1)} on {len(splits['train']):,} rows;"
            f" agrees with {agrees:.1%} of {len(held):,} others ({time.perf_counter() - started:.1f} s)"
        )
    return OutOfFold(probabilities, known)


def _chosen_by(task: Task, dealt: Dealt, others: np.ndarray) -> np.ndarray:
    """Which of these rows choose the epoch: about `data.val` of them, in whole units, evenly over classes."""
    data = task.recipe.data
    units = len(np.unique(dealt.units[others]))
    parts = min(units, max(2, round(1 / data.val)))
    by_time = data.split == "time"
    seed = task.recipe.train.seed
    found: np.ndarray = (
        deal_folds(dealt.units[others], dealt.given[others].tolist(), parts, seed, by_time=by_time) == parts - 1
    )
    return found


def _learned_rows(task: Task, encoded: Encoded, rows: np.ndarray) -> np.ndarray:
    """Training rows as the task takes them: it may leave some out, and add variants of them."""
    assert task.table is not None
    chosen = task.choose_rows(task.table, task.recipe, np.sort(rows).tolist())
    return np.setdiff1d(np.asarray(chosen, dtype=np.int64), np.array(sorted(encoded.bad), dtype=np.int64))


def _trained(
    task: Task, encoded: Encoded, splits: Mapping[str, Tensor], what: str, display: Display
) -> tuple[nn.Module, int]:
    """A network with the weights of its best epoch, and how many epochs there were."""
    return fit_in_memory(task, *training_rows(task, encoded, splits), what=what, display=display)


@torch.inference_mode()
def _answers(task: Task, model: nn.Module, encoded: Encoded, rows: np.ndarray) -> np.ndarray:
    """(rows, C) probabilities in evaluation mode, in the order of `rows`."""
    model.eval()
    place = {int(row): position for position, row in enumerate(rows)}
    found = np.zeros((len(rows), task.answer_kind.num_outputs), dtype=np.float32)
    numbers = torch.as_tensor(rows, device=encoded.index_device)
    for batch in evaluation_batches(encoded, numbers, task.recipe.train):
        outputs = task.predict(model, batch.inputs)
        found[[place[row] for row in batch.index.tolist()]] = outputs["probabilities"].float().cpu().numpy()
    return found
