"""What tasks share that see what a camera sees and answer with a number, mostly the angle of a steering wheel."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
from PIL import Image, ImageDraw
from pydantic import Field
from torch import Tensor

from ..finding import BadInput, Finding
from ..kind import Unreadable
from ..kinds.number import NumberKind, block_intervals
from ..recipe import Recipe, Section
from ..rng import mix
from ..table import Column, Table
from ..task import Task

__all__ = ["Steered", "SteeringSection", "side_cameras"]

MAIN_CAMERAS = ("center", "centre", "center_image", "centre_image", "image")
DRAWN_DEGREES = 60  # of a drawn line from straight up, at the wheel's end stop
LINES = (("#00c853", 5), ("#ff6d00", 3))  # colour and width: what is true, what is predicted


class SteeringSection(Section):
    """What is particular to the angle of a steering wheel."""

    key = "steering"

    angle: bool = False
    """Whether the number is an angle, negative to one side: then a mirrored picture has the negated number, and rows
    are a recording. Default: whether its column is called steering or angle."""
    sides: bool = True
    """Whether columns `left` and `right`, of side cameras, are trained on beside the centre's."""
    correction: float = 0.2
    """What is added to the angle of a left camera's picture, and taken from a right one's, to steer back."""
    zeros: float = Field(1.0, ge=0, le=1)
    """The share of the training rows with an angle of exactly 0 that is kept; of most recordings they are most."""


class Steered(Task):
    """Outputs `logits` (B, 1), in standard deviations from the mean. One thing is given: what the camera saw."""

    answer = ("number", "number")
    sections: ClassVar[tuple[type[Section], ...]] = (SteeringSection,)

    @classmethod
    def pick_columns(cls, table: Table, recipe: Recipe) -> dict[str, Column]:
        """The camera ahead and the steering angle, by their names; of several numbers none is guessed."""
        named: dict[str, Any] = {}
        if recipe.data.answer is None:
            numbers = [column.name for column in table.columns.values() if column.kind == "number"]
            angles = [name for name in numbers if NumberKind.is_word(name)]
            if len(numbers) > 1 and not angles:
                shown = ", ".join(numbers[:10])
                raise BadInput(
                    f"{table.name}: each of {shown} could be the answer: say which: data.answer={numbers[0]}"
                )
            named["data.answer"] = next(iter(angles or numbers), None)
        if recipe.data.given is None:
            named["data.given"] = _main_camera(table, *cls.given.values())
        return super().pick_columns(table, recipe.replace(named))

    @classmethod
    def defaults(cls, table: Table, asked: Mapping[str, Any]) -> dict[str, Any]:
        names = [str(asked.get("data.answer") or "")] if asked.get("data.answer") else list(table.columns)
        values: dict[str, Any] = {
            "schedule.name": "onecycle",
            "steering.angle": any(NumberKind.is_word(name) for name in names),
        }
        if asked.get("steering.angle", values["steering.angle"]):
            values |= {"data.split": "time", "augment.flip": 0.5}
        return values

    @classmethod
    def arrange(cls, table: Table, recipe: Recipe) -> Table:
        """With a row more for each side camera, whose angle is corrected."""
        picked = cls.pick_columns(table, recipe)
        section = recipe[SteeringSection]
        (seen, kind), *_ = cls.given.items()
        sides = side_cameras(table, kind)
        if not (section.sides and section.angle and sides) or picked[seen].name in sides:
            return table
        views = {picked[seen].name: 0.0, sides[0]: section.correction, sides[1]: -section.correction}
        answer = picked["number"]
        columns: dict[str, Column] = {}
        for name, column in table.columns.items():
            cells = [*column.cells] * len(views)
            if name == picked[seen].name:
                cells = [cell for view in views for cell in table.columns[view].cells]
            elif name == answer.name:
                cells = [_corrected(cell, add) for add in views.values() for cell in answer.cells]
            columns[name] = Column(name, column.kind, cells)
        rows = len(table)
        names = list(views)

        def where(row: int) -> str:
            return table.where(row % rows) + (f" ({names[row // rows]} camera)" if row >= rows else "")

        origins = list(range(rows)) * len(views)
        split = [*table.split] * len(views)
        groups = None if table.groups is None else [*table.groups] * len(views)
        return Table(table.name, columns, split, where, table.defaults, groups, origins)

    @classmethod
    def choose_rows(cls, table: Table, recipe: Recipe, train_rows: Sequence[int]) -> Sequence[int]:
        """Without some of the rows whose angle is 0, and with the side cameras' pictures of those that stay."""
        section = recipe[SteeringSection]
        answers = cls.pick_columns(table, recipe)["number"].cells
        zeros = [row for row in train_rows if _is_zero(answers[row])]
        zeros.sort(key=lambda row: mix(recipe.train.seed, row))
        kept = set(train_rows) - set(zeros[round(section.zeros * len(zeros)) :])
        origins = table.origins or range(len(table))
        return [row for row, origin in enumerate(origins) if origin in kept]

    @property
    def ordered(self) -> bool:
        return self._section.angle

    @property
    def _section(self) -> SteeringSection:
        return self.recipe[SteeringSection]

    def warp(self, targets: dict[str, Tensor], theta: Tensor) -> dict[str, Tensor]:
        """A mirrored road bends the other way: an angle is negated where theta mirrors; other numbers stay."""
        if not self._section.angle:
            return targets
        mirrored = theta[:, 0, 0] * theta[:, 1, 1] - theta[:, 0, 1] * theta[:, 1, 0] < 0  # (B,)
        return {role: torch.where(mirrored, -target, target) for role, target in targets.items()}

    def constant_scores(self, answers: Sequence[Any]) -> dict[str, float]:
        """For the absolute error the median is best, for the squared one the mean: by the best for each."""
        assert isinstance(self.answer_kind, NumberKind)
        return self.answer_kind.constant_scores(answers)

    def intervals(
        self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]
    ) -> dict[str, tuple[float, float]]:
        return block_intervals(predictions, answers) if self.ordered else super().intervals(predictions, answers)

    def audit(self, facts: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Finding]:
        return [*super().audit(facts), *(self._rows_learned_from() if self._section.angle else [])]

    def _rows_learned_from(self) -> list[Finding]:
        """How many angles are exactly 0 and how many of those are kept; what the side cameras add."""
        table, train = self.table, self.rows_by_split.get("train", ())
        if table is None or not train:
            return []
        answers = table.columns[self.schema.columns[self.answer_role].column].cells
        held = {row for rows in self.rows_by_split.values() for row in rows}
        dropped = 0
        if self._section.zeros < 1:  # rows that stand in no split, of the source, and 0
            absent = [row for row in range(len(table)) if table.is_own(row) and row not in held]
            dropped = sum(_is_zero(answers[row]) for row in absent)
        own = [row for row in train if table.is_own(row)]
        kept = sum(_is_zero(answers[row]) for row in own)
        evidence = {"zeros": kept + dropped, "kept": kept, "training_rows": len(own) + dropped}
        message = (
            f"{kept + dropped:,} of {len(own) + dropped:,} training rows have an angle of exactly 0; {kept:,} are kept"
        )
        findings = [Finding("zero-angles", "note", message, evidence, "steering.zeros=0.3 keeps fewer of them")]
        if len(train) > len(own):
            message = (
                f"{len(train) - len(own):,} pictures of side cameras are trained on, with angles that are corrected by"
                f" {self._section.correction:g}; none is held out"
            )
            findings.append(Finding("side-cameras", "note", message, {"rows": len(train) - len(own)}))
        return findings

    def draw(
        self, given: Mapping[str, Any], answer: Any = None, prediction: Mapping[str, Any] | None = None
    ) -> Image.Image | str:
        """The picture; of an angle with a green line for what is true and an orange one for what was predicted."""
        shown = super().draw(given, answer, prediction)
        if isinstance(shown, str) or not self._section.angle:
            return shown
        picture = shown.convert("RGB")
        predicted = None if prediction is None else prediction["value"]
        for value, (colour, width) in zip((answer, predicted), LINES, strict=True):
            if value is not None:
                _draw_wheel(picture, float(value), colour, width)
        return picture


def _main_camera(table: Table, kind: str) -> str | None:
    seen = {column.name.lower(): column.name for column in table.columns.values() if column.kind == kind}
    return next((seen[name] for name in MAIN_CAMERAS if name in seen), None)


def side_cameras(table: Table, kind: str) -> tuple[str, str] | None:
    """The columns of the left and the right camera, where there are both."""
    seen = [column.name for column in table.columns.values() if column.kind == kind]
    left, right = ([name for name in seen if name.lower().startswith(side)] for side in ("left", "right"))
    return (left[0], right[0]) if left and right else None


def _corrected(cell: Any, add: float) -> Any:
    """The number of a cell and something more; what cannot be read stays, to be set aside with its reason."""
    if not add:
        return cell
    try:
        return NumberKind.read(cell) + add
    except Unreadable:
        return cell


def _is_zero(cell: Any) -> bool:
    try:
        return NumberKind.read(cell) == 0
    except Unreadable:
        return False


def _draw_wheel(picture: Image.Image, value: float, colour: str, width: int) -> None:
    """A line from the bottom's middle, turned to the right for positive angles."""
    angle = math.radians(DRAWN_DEGREES * max(-1.0, min(1.0, value)))
    x, y, length = picture.width / 2, picture.height - 1, 0.6 * picture.height
    end = x + length * math.sin(angle), y - length * math.cos(angle)
    ImageDraw.Draw(picture).line([(x, y), end], fill=colour, width=max(1, round(width * picture.height / 160)))
