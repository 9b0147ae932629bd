"""The report of a run: one self-contained page and a model card, from the run folder and an Evaluation alone.

Labels, file names and findings are hostile until escaped: Jinja escapes every value of the page, `_markdown` every
value of the card, and matplotlib is given numbers only (it would read text as mathematics, and lack its glyphs).
"""

from __future__ import annotations

import json
import math
import re
import shlex
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import yaml

from ..finding import Finding, verdict
from ..kind import Block, Metric
from ..storage import read_json, write_bytes
from .page import data_uri, pictured, template
from .plots import Axes, Line, Plot, figure_text, plot

if TYPE_CHECKING:
    from PIL import Image

    from ..recipe import Recipe
    from ..run import Run
    from . import Evaluation, Score

__all__ = ["write_report"]

MATRIX_SIDE = 30  # labels that a coloured matrix shows legibly; above, its largest entries are listed
WIDE = 10  # labels up to which a matrix stands beside other blocks
LISTED = 30  # entries of a larger matrix that are listed
TABLE_ROWS = 1000  # rows of a table on the page; evaluation.json holds all of them
EVIDENCE = 4000  # characters of a finding's evidence; findings.json holds all of it
FEW_EPOCHS = 3  # below this, curves are drawn by step: one epoch has no curve


def write_report(
    run: Run,
    evaluation: Evaluation,
    shown: Sequence[Image.Image | str],
    played: Sequence[tuple[str, bytes] | None] | None = None,
) -> None:
    """Write report.html and card.md into the run folder.

    `shown[i]` is what the mistakes, and after them the examples, were given; `played[i]` a media type and a file of it.
    """
    view = _view(run, evaluation)
    rows = [*evaluation.mistakes, *evaluation.examples]
    heard = [data_uri(*part) if part else None for part in played or [None] * len(rows)]
    figures = [(m, *pictured(p), sound) for m, p, sound in zip(rows, shown, heard, strict=True)]
    mistakes, examples = figures[: len(evaluation.mistakes)], figures[len(evaluation.mistakes) :]
    curves, parts = _curves(run.log(), run.task().metric), _parts(evaluation.blocks)
    shown_rows = {"mistakes": mistakes, "examples": examples}
    page = template("report.html.j2", True, figure_text).render(view, curves=curves, parts=parts, **shown_rows)
    card = template("card.md.j2", False, _markdown).render(view)
    # A file name that is not UTF-8 holds lone surrogates, which cannot be encoded: they are spelled out.
    write_bytes(run.path / "report.html", page.encode("utf-8", "backslashreplace"))
    write_bytes(run.path / "card.md", card.encode("utf-8", "backslashreplace"))


def _view(run: Run, evaluation: Evaluation) -> dict[str, Any]:
    """What the page and the card both say."""
    metric = run.task().headline
    main, baseline = evaluation.metrics[metric.name], evaluation.baseline.get(metric.name)
    found = _found(run, evaluation)
    waive = run.recipe.waive
    epochs = [row for row in run.log() if row["event"] == "epoch"]
    environment = run.path / "environment.json"
    path = shlex.quote(str(run.path))
    return {
        "name": run.path.resolve().name,
        "schema": run.schema,
        "recipe": run.recipe,
        "recipe_yaml": run.recipe.to_yaml(),
        "evaluation": evaluation,
        "metric": metric,
        "main": main,
        "baseline": baseline,
        "baseline_name": run.task().answer_kind.baseline_name,
        "gauge": _gauge(main, baseline),
        "verdict": verdict(one.finding for one in found if one.finding.check not in waive),
        "found": found,
        "counts": Counter("waived" if one.waived is not None else one.finding.severity for one in found),
        "unused_waivers": {check: why for check, why in waive.items() if check not in {f.finding.check for f in found}},
        "epochs": len(epochs),
        "best_epoch": _best_epoch(epochs),
        "duration": _duration(sum(row["seconds"] + row["val_seconds"] for row in epochs)),
        "columns": _table(["role", "column", "kind", "learned from the training rows"], _column_rows(run)),
        "splits": _split_table(run.schema.splits),
        "environment": read_json(environment) if environment.is_file() else {},
        "command": Code(_command(run.recipe)),
        "next": [
            ("metrics and this report, on other data", f"snowball evaluate {path} DATA"),
            ("answers for new inputs", f"snowball predict {path} INPUT..."),
            ("what its answers hang on", f"snowball explain {path} INPUT..."),
            ("the same in a quarter of the bytes, compared", f"snowball shrink {path}"),
            ("a file for other engines, with a parity proof", f"snowball export {path} -o model.onnx"),
            ("answers over HTTP, and a page to try them", f"snowball serve {path}"),
        ],
    }


@dataclass(frozen=True)
class Found:
    """A finding, the stage that made it, and the reason it is waived for, if it is."""

    finding: Finding
    stage: str
    waived: str | None
    evidence: str


def _found(run: Run, evaluation: Evaluation) -> list[Found]:
    """The findings of every stage, worst first; this evaluation's take the place of an earlier one's."""
    path = run.path / "findings.json"
    kept = read_json(path) if path.is_file() else {}
    stages = {stage: [Finding(**row) for row in rows] for stage, rows in kept.items()}
    stages["evaluation"] = evaluation.findings
    found = [
        Found(finding, stage, run.recipe.waive.get(finding.check), _evidence(finding))
        for stage, findings in stages.items()
        for finding in findings
    ]
    return sorted(found, key=lambda one: ("error", "warning", "note").index(one.finding.severity))


def _evidence(finding: Finding) -> str:
    lines = [f"{name}: {figure_text(value)}" for name, value in finding.evidence.items()]
    text = "\n".join(lines)
    return text if len(text) <= EVIDENCE else f"{text[:EVIDENCE]}…\n(cut here; findings.json holds all of it)"


def _gauge(score: Score, baseline: float | None) -> dict[str, float] | None:
    """Where the value, its interval and the baseline stand on a line, in percent; None if one of them is unknown."""
    known = {"low": score.low, "value": score.value, "high": score.high, "baseline": baseline}
    numbers = [x for x in known.values() if x is not None and math.isfinite(x)]
    if len(numbers) < len(known) or max(numbers) == min(numbers):
        return None
    span = max(numbers) - min(numbers)
    return {name: round(2 + 96 * (x - min(numbers)) / span, 2) for name, x in zip(known, numbers, strict=True)}


# Numbers and tables.


def _duration(seconds: float) -> str:
    """
    >>> _duration(12.34), _duration(3725)
    ('12.3 s', '1 h 2 min 5 s')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60} h {minutes % 60} min {rest} s" if minutes >= 60 else f"{minutes} min {rest} s"


@dataclass(frozen=True)
class Grid:
    """A table of the page: its first `TABLE_ROWS` rows, which columns are numbers, and how many rows there were."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    numeric: Sequence[bool]
    num_rows: int


def _table(columns: Sequence[Any], rows: Sequence[Sequence[Any]]) -> Grid:
    def is_number(cell: Any) -> bool:
        return cell is None or (isinstance(cell, int | float) and not isinstance(cell, bool))

    shown = rows[:TABLE_ROWS]
    numeric = [all(is_number(row[i]) for row in shown) for i in range(len(columns))]
    return Grid([str(column) for column in columns], shown, numeric, len(rows))


def _split_table(splits: Mapping[str, Mapping[str, Any]]) -> Grid:
    columns = list(dict.fromkeys(key for facts in splits.values() for key in facts))
    return _table(["split", *columns], [[name, *(facts.get(key) for key in columns)] for name, facts in splits.items()])


def _column_rows(run: Run) -> list[list[str]]:
    def gist(value: Any) -> str:
        return f"{len(value):,} values" if isinstance(value, list | dict) and len(value) > 3 else figure_text(value)

    given = run.task_type.given
    return [
        [
            f"{role} ({'given' if role in given else 'answer'})",
            column.column,
            column.kind,
            ", ".join(f"{name}: {gist(value)}" for name, value in column.state.items()),
        ]
        for role, column in run.schema.columns.items()
    ]


@dataclass(frozen=True)
class Matrix:
    """A square matrix: cells as text with a tint of 0..100, which says the share of the row."""

    labels: Sequence[str]
    cells: Sequence[Sequence[tuple[str, int]]]


def _matrix(labels: Sequence[Any], values: Sequence[Sequence[float | None]]) -> Matrix | Grid:
    """The matrix itself, or, where it is too large to read, a table of its largest entries off the diagonal."""
    cells = np.nan_to_num(np.array(values, dtype=float).reshape(len(labels), len(labels)))  # (C, C)
    shares = cells / np.maximum(np.abs(cells).sum(1, keepdims=True), 1e-30)
    if len(labels) <= MATRIX_SIDE:
        # The square root: one confusion in a hundred is to be seen, which a tint of 1 % is not.
        tints = np.where(cells != 0, 10 + 90 * np.sqrt(np.abs(shares)), 0).round().astype(int).tolist()
        texts = [[figure_text(value) if value else "" for value in row] for row in values]
        rows = [list(zip(*pair, strict=True)) for pair in zip(texts, tints, strict=True)]
        return Matrix([str(label) for label in labels], rows)
    off = np.where(np.eye(len(labels), dtype=bool), 0.0, cells).ravel()
    largest = [divmod(int(i), len(labels)) for i in np.argsort(-off, kind="stable")[:LISTED] if off[i] > 0]
    entries = [[labels[i], labels[j], values[i][j], round(float(shares[i, j]), 4)] for i, j in largest]
    return _table(["row", "column", "value", "share of its row"], entries)


# How a training went.


def _number(value: Any) -> float:
    return float(value) if isinstance(value, int | float) else math.nan


def _best_epoch(epochs: Sequence[Mapping[str, Any]]) -> int | None:
    """The epoch whose weights were kept, from 1."""
    return next((row["epoch"] + 1 for row in reversed(epochs) if row.get("best")), None)


@dataclass(frozen=True)
class Curves:
    """How a training went: plots, and the same epochs as a table."""

    plots: Sequence[Plot]
    table: Grid
    note: str


def _curves(log: Sequence[Mapping[str, Any]], metric: Metric) -> Curves:
    """Loss, metric and learning rate from the rows of metrics.jsonl."""
    epochs = [row for row in log if row["event"] == "epoch"]
    if not epochs:
        return Curves([], _table([], []), "")
    steps_per_epoch = epochs[-1]["step"] / (epochs[-1]["epoch"] + 1)
    by_step = len(epochs) < FEW_EPOCHS

    def line(name: str, rows: Sequence[Mapping[str, Any]], key: str) -> Line:
        return name, [row["step"] / steps_per_epoch for row in rows], [_number(row.get(key)) for row in rows]

    best = _best_epoch(epochs)
    mark = best if len(epochs) > 1 else None
    axes = Axes("learning rate", "epoch", whole_x=True, mark=mark)
    notes = [f"dotted: epoch {best}, whose weights were kept"] if mark else []
    notes += ["training: the mean since the epoch began"] if by_step else []
    plots = []
    for key in dict.fromkeys(("loss", metric.name)):
        lines = [line("training", log if by_step else epochs, key), line("validation", epochs, f"val_{key}")]
        shown = replace(axes, title=key, log_y=key == "loss")
        plots.append(plot(f"curve {key == 'loss'}", shown, lines))
    plots.append(plot("curve lr", axes, [line("learning rate", log, "lr")]))
    keys = [key for key in epochs[0] if key not in ("event", "epoch", "step", "best")]
    rows = [[row["epoch"] + 1, row["step"], *(row.get(key) for key in keys)] for row in epochs]
    return Curves(
        [plot for plot in plots if plot is not None], _table(["epoch", "step", *keys], rows), "; ".join(notes)
    )


# The evaluation's blocks, by form.


@dataclass(frozen=True)
class Part:
    """A block as the page shows it: what there is of a plot, a table and a matrix."""

    block: Block
    plot: Plot | None = None
    table: Grid | None = None
    matrix: Matrix | None = None
    note: str = ""


def _parts(blocks: Sequence[Block]) -> list[Part]:
    """In the order of the blocks, but wide matrices last: what stands before them then shares a line."""
    parts = [_part(number, block) for number, block in enumerate(blocks)]
    return sorted(parts, key=lambda part: part.matrix is not None and len(part.matrix.labels) > WIDE)


def _part(number: int, block: Block) -> Part:
    content = block.content
    if block.form == "table":
        return Part(block, table=_table(content["columns"], content["rows"]), note=block.note)
    if block.form == "matrix":
        shown = _matrix(content["labels"], content["values"])
        if isinstance(shown, Matrix):
            return Part(block, matrix=shown, note=block.note)
        note = f"the {len(shown.rows)} largest entries off the diagonal, of {len(content['labels']):,} labels"
        return Part(block, table=shown, note=f"{note}; {block.note}" if block.note else note)
    xs, series = content["x"], content["series"]
    x_label, y_label = str(content.get("x_label", "")), str(content.get("y_label", ""))
    lines = [(str(name), [_number(x) for x in xs], [_number(y) for y in ys]) for name, ys in series.items()]
    axes = Axes(block.title, x_label, y_label, diagonal=bool(content.get("diagonal")))
    # Whatever else is listed by x, such as the rows behind each point, stands in the table.
    lists = {**series, **{k: v for k, v in content.items() if k != "x" and isinstance(v, list) and len(v) == len(xs)}}
    rows = [list(row) for row in zip(xs, *lists.values(), strict=True)]
    return Part(block, plot(f"block {number}", axes, lines), _table([x_label or "x", *lists], rows), note=block.note)


# The command that reproduces a run, and the card's Markdown.


def _command(recipe: Recipe) -> str:
    """A command line that asks for every value of the recipe, so that no default can come in between."""

    def word(key: str, value: Any) -> str:
        text = value if isinstance(value, str) and _is_plain(value) else json.dumps(value, ensure_ascii=False)
        return shlex.quote(f"{key}={text}")

    lines = [f"snowball train {shlex.quote(recipe.data.name)} task={shlex.quote(recipe.task)}"]
    for section, values in recipe.to_dict().items():
        if isinstance(values, Mapping):
            words = [word(f"{section}.{k}", v) for k, v in values.items() if f"{section}.{k}" != "data.name"]
            lines += [" ".join(words)] if words else []
    return " \\\n  ".join(lines)


def _is_plain(text: str) -> bool:
    """Whether YAML reads the text as itself: `cosine` is plain, while `no`, `7` and `a: b` have to be quoted."""
    try:
        return bool(yaml.safe_load(text) == text)
    except yaml.YAMLError:
        return False


class Code(str):
    """Text that the card shows as a block of code."""


_SPECIAL = re.compile(r"[\\`*_\[\]<>|#~&$!{}]|(?<=:)(?=//)|(?<=www)(?=\.)")


def _markdown(value: Any) -> Any:
    """A value as Markdown text of one line; Code becomes a fenced block that its text cannot close.

    >>> _markdown("<b>|`*")
    '\\\\<b\\\\>\\\\|\\\\`\\\\*'
    """
    if isinstance(value, Code):
        fence = "`" * max(3, 1 + max((len(run) for run in re.findall("`+", value)), default=0))
        return f"{fence}sh\n{value}\n{fence}"
    return _SPECIAL.sub(lambda found: "\\" + found[0], " ".join(figure_text(value).split()))
