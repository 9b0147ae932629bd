"""Explain: which pieces of an input the network's answer hangs on, found by hiding each in turn.

What a piece weighs is how much less the network speaks for its own answer without it (occlusion: Zeiler and Fergus,
"Visualizing and Understanding Convolutional Networks", 2014). It takes nothing of a network but its outputs, so that it
is the same for every task; how much outputs speak for an answer is its `focus`: the log odds of a label, else the
negative loss. Explanations fail silently too: each is tried, by hiding its heaviest pieces
together, which has to change the answer more than hiding as many others (Samek et al., "Evaluating the Visualization of
What a Deep Neural Network Has Learned", 2017).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from ..display import Display
from ..finding import BadInput, Finding
from ..kind import AGAINST, FOR, Batch, Pieces
from ..recipe import Section
from ..rows import Rows
from ..storage import read_json, write_bytes
from ..task import Task
from . import as_array
from .page import pictured, template
from .plots import figure_text
from .predict import input_name, read_inputs

if TYPE_CHECKING:
    from PIL import Image
    from torch import nn

    from ..run import Run

__all__ = ["ExplainSection", "Explanation", "explain_row", "explain_run"]

AT_ONCE = 64  # variants of a row that the network answers at once
HEAVIEST = 0.2  # share of the pieces that are hidden together when an explanation is tried
DRAWS = 10  # of as many others
PAGE = "explanation.html"
SAME = 1e-6  # what falls by less has not changed


class ExplainSection(Section):
    """What is explained where no input is named."""

    key = "explain"

    rows: int = Field(12, ge=1, le=1000)
    """Test rows: the worst mistakes of the last evaluation, and as many others, evenly spread."""


@dataclass(frozen=True)
class Explanation:
    """What an answer hangs on, JSON-able. `pieces` by falling weight, each of a role; weights are falls of `focus`."""

    input: str
    answer: str
    """What was said, in a few words."""
    right: str | None
    pieces: list[dict[str, Any]]
    without: dict[str, float]
    """By role: how much `focus` falls where all of it is hidden."""
    heaviest: float
    """How much it falls where the heaviest fifth of the pieces is hidden together."""
    others: float
    """The mean of that over as many pieces, drawn at random."""
    weights: dict[str, np.ndarray] = field(repr=False)
    """By role, as the pieces lie."""
    names: dict[str, Sequence[str]] = field(repr=False)
    """By role, in that order."""

    def to_json(self) -> dict[str, Any]:
        return {key: value for key, value in asdict(self).items() if key not in ("weights", "names")}


def explain_run(
    run: Run, inputs: Sequence[Any] = (), rows: int = 12, path: Path | None = None, display: Display | None = None
) -> tuple[list[Explanation], list[Finding]]:
    """Explain a run's answers to `inputs`, or to some of its own test rows; the page goes to explanation.html.

    Raises BadInput where an input cannot be read, or none is given to a run that knows no data.
    """
    display = display or Display(quiet=True)
    task, model = run.task(), run.model()
    explained = []
    drawn = []
    display.start("explaining", len(inputs) or rows)
    try:
        for given, name, right in _asked(run, task, inputs, rows, display):
            found = explain_row(task, model, given, name, right)
            explained.append(found)
            drawn.append({role: task.kinds[role].draw_pieces(given[role], w) for role, w in found.weights.items()})
            display.advance()
    except KeyboardInterrupt:  # the way to end a camera
        if not explained:
            raise
    finally:
        display.stop()
    if not explained:
        raise BadInput("nothing to explain: no input was given")
    findings = _doubts(explained)
    _write_page(run, path or run.path / PAGE, explained, drawn, findings)
    run.record("explanation", findings)
    if run.finished:
        run.seal()
    return explained, findings


def _asked(
    run: Run, task: Task, inputs: Sequence[Any], rows: int, display: Display
) -> Iterator[tuple[dict[str, Any], str, str | None]]:
    """What is given of each row that is to be explained, what it is called, and the right answer where it is known."""
    if inputs:
        position = 0
        for cells, values in read_inputs(task, inputs):
            for cell, row in zip(cells, values, strict=True):
                yield row, input_name(cell, position), None
                position += 1
        return
    if not run.has_data:
        raise BadInput(f"{run.path} knows no data of its own: name what is to be explained")
    from ..collect.prepare import prepare_run

    prepared = prepare_run(run, display)
    table, test = prepared.task.table, prepared.splits["test"].tolist()
    assert table is not None
    source = Rows(prepared.task, table, test)
    known = run.path / "evaluation.json"
    evaluation: dict[str, Any] = read_json(known) if known.is_file() else {"data": None}
    mistakes = [one["row"] for one in evaluation["mistakes"]] if evaluation["data"] == table.name else []
    there = set(test)
    chosen = [row for row in mistakes if row in there][: rows // 2]
    rest = [row for row in test if row not in chosen]
    num = min(len(rest), rows - len(chosen))
    chosen += [rest[at] for at in np.linspace(0, len(rest) - 1, num).round().astype(int)]
    for number in chosen:
        given, answer = source.row(number)
        yield given, table.where(number), task.answer_kind.caption(answer)


@torch.inference_mode()
def explain_row(task: Task, model: nn.Module, given: Mapping[str, Any], name: str, right: str | None) -> Explanation:
    """What the answer to one row's raw values hangs on."""
    encoded = task.explained(given)
    held = [role for role in task.given if given[role] is not None]
    pieces = {role: task.kinds[role].pieces(given[role], encoded[role]) for role in held}
    inputs = {role: task.kinds[role].collate([tensor]) for role, tensor in encoded.items()}
    outputs = task.predict(model, inputs)
    (said,) = task.decode({key: as_array(value) for key, value in outputs.items()})
    lab = _Lab(task, model, encoded, pieces, task.own_targets(inputs, outputs))
    every = [(role, number) for role in held for number in range(len(pieces[role].names))]
    whole = [[(role, number) for number in range(len(pieces[role].names))] for role in held]
    num = max(1, round(HEAVIEST * len(every)))
    random = np.random.Generator(np.random.Philox(len(every)))
    drawn = [[every[i] for i in random.choice(len(every), num, replace=False)] for _ in range(DRAWS)]
    single = lab.falls([[piece] for piece in every])
    order = np.argsort(-single, kind="stable")
    heaviest = [every[i] for i in order[:num]]
    together = lab.falls([heaviest, *drawn, *whole])
    weights, at = {}, 0
    for role in held:
        size = len(pieces[role].names)
        weights[role] = single[at : at + size].reshape(pieces[role].lie)
        at += size
    return Explanation(
        input=name,
        answer=task.caption(said),
        right=right,
        pieces=[
            {"role": role, "piece": pieces[role].names[number], "weight": float(single[i])}
            for i in order
            for role, number in [every[i]]
        ],
        without={role: float(fall) for role, fall in zip(held, together[1 + DRAWS :], strict=True)},
        heaviest=float(together[0]),
        others=float(together[1 : 1 + DRAWS].mean()),
        weights=weights,
        names={role: pieces[role].names for role in held},
    )


@dataclass(frozen=True)
class _Lab:
    """One row whose pieces can be hidden, and what the network said of the whole."""

    task: Task
    model: nn.Module
    encoded: Mapping[str, Tensor]
    pieces: Mapping[str, Pieces]
    targets: Mapping[str, Tensor]

    def falls(self, hidden: Sequence[Sequence[tuple[str, int]]]) -> np.ndarray:
        """By how much `focus` on the own answer falls where each of these sets of pieces is hidden."""
        falls: list[float] = []
        for start in range(0, len(hidden), AT_ONCE):
            falls += self._compare([[], *hidden[start : start + AT_ONCE]])[1:]
        return np.array(falls)

    def _compare(self, sets: Sequence[Sequence[tuple[str, int]]]) -> list[float]:
        """Falls from the first set's, each of what is still asked of the other."""
        variants = [self._hide(hidden) for hidden in sets]
        inputs = {role: self.task.kinds[role].collate([v[role] for v in variants]) for role in self.encoded}
        asked = {role: t.expand(len(sets), *t.shape[1:]) for role, t in self.targets.items()}
        targets = self.task.without(inputs, asked)
        outputs = self.task.forward(self.model, Batch(inputs, targets, torch.zeros(len(sets), dtype=torch.long)))

        def focus(answered: int, row: int) -> float:
            part = Batch(_row(inputs, row), _row(targets, row), torch.zeros(1, dtype=torch.long))
            return float(self.task.focus(_row(outputs, answered), part))

        whole = focus(0, 0)  # what is asked of all is asked of the whole once
        rows = range(len(sets))
        return [(whole if targets is asked else focus(0, row)) - focus(row, row) for row in rows]

    def _hide(self, hidden: Sequence[tuple[str, int]]) -> dict[str, Tensor]:
        changed = dict(self.encoded)
        for role in dict.fromkeys(role for role, _ in hidden):
            changed[role] = self.pieces[role].hide(changed[role], [number for one, number in hidden if one == role])
        return changed


def _row(tensors: Mapping[str, Tensor], row: int) -> dict[str, Tensor]:
    return {name: value[row : row + 1] for name, value in tensors.items()}


def _write_page(
    run: Run,
    path: Path,
    explained: Sequence[Explanation],
    drawn: Sequence[Mapping[str, Image.Image | None]],
    findings: Sequence[Finding],
) -> None:
    """`drawn[i]` holds a picture of each role of explanation i; of a role without one the pieces' names are shown."""
    rows = []
    for one, pictures in zip(explained, drawn, strict=True):
        texts = [_tinted_words(one, role) for role, picture in pictures.items() if picture is None]
        rows.append((one, [pictured(picture) for picture in pictures.values() if picture is not None], texts))
    heaviest, others = _trial(explained)
    shown = {"rows": rows, "findings": findings, "heaviest": heaviest, "others": others}
    page = template("explanation.html.j2", True, figure_text).render(
        name=run.path.resolve().name,
        schema=run.schema,
        recipe=run.recipe,
        red=_css(FOR),
        blue=_css(AGAINST),
        **shown,
    )
    write_bytes(path, page.encode("utf-8", "backslashreplace"))


def _tinted_words(one: Explanation, role: str) -> list[tuple[str, str, int]]:
    """The pieces of a role in their order, each with a colour and how much of it, in percent."""
    weights = one.weights[role].ravel()
    largest = max(float(np.abs(weights).max()), 1e-12)
    return [
        (text, _css(FOR if weight > 0 else AGAINST), round(60 * abs(weight) / largest))
        for text, weight in zip(one.names[role], weights.tolist(), strict=True)
    ]


def _css(colour: tuple[int, int, int]) -> str:
    return " ".join(map(str, colour))


def _trial(explained: Sequence[Explanation]) -> tuple[float, float]:
    """The means of `heaviest` and of `others`."""
    return float(np.mean([one.heaviest for one in explained])), float(np.mean([one.others for one in explained]))


def _doubts(explained: Sequence[Explanation]) -> list[Finding]:
    """What makes explanations worthless: an input that changes nothing, and pieces that are no heavier than others."""
    findings = []
    for role in explained[0].without:
        falls = [one.without[role] for one in explained if role in one.without]
        if max(map(abs, falls)) < SAME:
            message = f"hiding all of {role} changes no answer to {len(falls)} inputs: the network does not look at it"
            findings.append(Finding("input-ignored", "error", message, {"role": role, "falls": falls}))
    heaviest, others = _trial(explained)
    if not findings and heaviest <= others:
        message = (
            f"without the pieces that weigh most the network speaks less for its answer by {heaviest:.3g}, without"
            f" others by {others:.3g}: these explanations explain nothing"
        )
        fix = "the answers hang on much at once, or on little: hiding single pieces does not show what"
        findings.append(
            Finding("unfaithful-explanation", "warning", message, {"heaviest": heaviest, "others": others}, fix)
        )
    return findings
