"""Numbers as answers: against hand-worked figures and a second implementation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from snowball.finding import BadInput
from snowball.kind import Unreadable
from snowball.kinds.number import NumberKind, NumberSection, block_intervals
from snowball.recipe import SHARED, Recipe
from snowball.registry import tasks
from snowball.schema import Schema
from snowball.table import Column, Table

ANSWERS = [0.0, 0.0, 0.0, 0.4, -0.8]


def kind(values: list[float] = ANSWERS, **keys: Any) -> NumberKind:
    recipe = Recipe.build("", (*SHARED, NumberSection), {f"number.{key}": value for key, value in keys.items()})
    return NumberKind(recipe, NumberKind.fit(values, recipe))


def predictions(*values: float) -> list[dict[str, float]]:
    return [{"value": value} for value in values]


@pytest.mark.parametrize(
    ("cell", "reason"),
    [
        (None, "no number"),
        (" ", "no number"),
        ("hard left", "'hard left' is not a number"),
        ("nan", "finite"),
        (math.inf, "finite"),
    ],
)
def test_what_is_no_number_is_said(cell: Any, reason: str) -> None:
    with pytest.raises(Unreadable, match=reason):
        NumberKind.read(cell)


def test_numbers_are_read_from_text_and_arrays() -> None:
    assert [NumberKind.read(cell) for cell in (" -0.25 ", 3, np.float32(0.5), "1e-3")] == [-0.25, 3.0, 0.5, 0.001]


def test_one_number_for_all_rows_is_refused() -> None:
    with pytest.raises(BadInput, match="nothing to learn"):
        kind([0.1, 0.1, 0.1])


def test_losses_are_in_deviations_of_the_training_rows() -> None:
    target = torch.tensor(ANSWERS)
    outputs = {"logits": torch.zeros(5, 1)}  # the mean, always
    assert float(kind(loss="mse").loss(outputs, target)) == pytest.approx(1.0)
    z = np.abs((np.array(ANSWERS) - np.mean(ANSWERS)) / np.std(ANSWERS))
    huber = np.where(z < 0.5, z**2 / 2, 0.5 * (z - 0.25)).mean()
    assert float(kind(delta=0.5).loss(outputs, target)) == pytest.approx(huber, rel=1e-5)
    assert kind(delta=0.5).chance_loss({}, torch.zeros(1)) == pytest.approx(huber, rel=1e-5)


def test_measure_and_score_are_two_ways_to_the_same_figures() -> None:
    number = kind()
    outputs = {"logits": torch.tensor([[0.1], [-0.2], [0.0], [1.5], [-1.0]])}
    sums = number.measure(outputs, torch.tensor(ANSWERS))
    means = number.derive({name: float(value) / float(count) for name, (value, count) in sums.items()})
    finished = {name: value.numpy() for name, value in number.finish(outputs).items()}
    scored = number.score(number.decode(finished), ANSWERS)
    assert means == pytest.approx(scored, rel=1e-5)
    assert number.score(predictions(0.1, 0.1, 0.1, 0.1, 0.1), [0.0, 0.0, 0.0, 0.4, -0.8]) == pytest.approx(
        {"mae": 0.3, "rmse": math.sqrt((3 * 0.01 + 0.09 + 0.81) / 5)}
    )


def test_the_baseline_is_the_best_constant_for_each_metric() -> None:
    """On these rows the median, 0, has the smaller mae, and the mean the smaller rmse."""
    number = kind([0.0, 0.0, 0.0, 3.0])
    answers = [0.0, 0.0, 0.0, 3.0]
    assert number.constant_scores(answers) == pytest.approx({"mae": 0.75, "rmse": np.std(answers)})
    assert number.baseline() == {"value": 0.0}


def test_the_interval_of_runs_is_wider_than_that_of_single_rows() -> None:
    error = np.repeat(np.random.Generator(np.random.Philox(1)).normal(size=40), 10)
    low, high = block_intervals(predictions(*error), [0.0] * 400)["mae"]
    random = np.random.Generator(np.random.Philox(2))
    single = [np.abs(error[random.integers(400, size=400)]).mean() for _ in range(300)]
    assert high - low > 1.5 * (np.quantile(single, 0.975) - np.quantile(single, 0.025))
    assert low < np.abs(error).mean() < high


def test_errors_are_shown_by_true_value() -> None:
    blocks = {block.title: block.content for block in kind().blocks(predictions(0.0, 0.1, 0.0, 0.2, -0.8), ANSWERS)}
    name, *errors = blocks["Beside constant answers"]["rows"][0]
    assert name == "this network" and errors == pytest.approx([0.06, 0.1])
    assert [row[1] for row in blocks["Error by true value"]["rows"]] == [1, 3, 1]
    assert blocks["Row by row"]["series"]["true"] == ANSWERS


def steering(angle: bool) -> Any:
    task_type = tasks()["steering"]
    columns = {"image": Column("image", "image", [np.full((8, 8), i, np.uint8) for i in range(3)])}
    columns["a"] = Column("a", "number", [0.0, 0.5, -1.0])
    table = Table("t", columns, [""] * 3, str)
    recipe = Recipe.build("steering", task_type.section_types(), {"steering.angle": angle})
    schema: Schema = task_type.fit(table, recipe, [0, 1, 2])
    return task_type(recipe, schema, table)


def test_a_mirrored_angle_is_negated_and_another_number_stays() -> None:
    targets = {"number": torch.tensor([0.5, 0.5, -0.2])}
    theta = torch.eye(2, 3).repeat(3, 1, 1)
    theta[1, 0, 0] = -1  # mirrored
    theta[2] = torch.tensor([[-1.0, 0.0, 0.0], [0.0, -1.0, 0.0]])  # turned by 180 degrees, which mirrors nothing
    assert steering(True).warp(targets, theta)["number"].tolist() == pytest.approx([0.5, -0.5, -0.2])
    assert steering(False).warp(targets, theta)["number"].tolist() == pytest.approx([0.5, 0.5, -0.2])


def test_the_wheel_is_drawn_to_the_side_it_is_turned() -> None:
    given = {"image": np.zeros((100, 100, 3), np.uint8)}
    pixels = np.asarray(steering(True).draw(given, 0.8, {"value": -0.8})).astype(int)
    green, orange = pixels[:, :, 1] > pixels[:, :, 0] + 50, pixels[:, :, 0] > pixels[:, :, 1] + 50
    middle = pixels.shape[1] / 2
    assert np.flatnonzero(green.any(0)).mean() > middle > np.flatnonzero(orange.any(0)).mean()
    plain = np.asarray(steering(False).draw(given, 0.8, {"value": -0.8}))
    assert not plain.any(), "a number that is no angle is not drawn as one"


def test_side_cameras_are_steered_back_and_never_held_out() -> None:
    """A camera to the left of the car sees the road as if the car were there: it has to steer right."""
    task_type = tasks()["steering"]
    names = ("center", "left", "right")
    columns = {name: Column(name, "image", [f"{name}{row}.png" for row in range(3)]) for name in names}
    columns["steering"] = Column("steering", "number", ["0", "x", "-0.5"])
    table = Table("t", columns, [""] * 3, lambda row: f"row {row}")
    keys = {"steering.angle": True, "steering.zeros": 0.0}
    recipe = Recipe.build("steering", task_type.section_types(), keys)
    arranged = task_type.arrange(table, recipe)
    cells = list(zip(arranged.columns["center"].cells, arranged.columns["steering"].cells, strict=True))
    assert cells[3:] == [
        *[("left0.png", 0.2), ("left1.png", "x"), ("left2.png", -0.3)],
        *[("right0.png", -0.2), ("right1.png", "x"), ("right2.png", -0.7)],
    ]
    assert [arranged.where(row) for row in (2, 3)] == ["row 2", "row 0 (left camera)"]
    assert task_type.choose_rows(arranged, recipe, [0, 1, 2]) == [1, 2, 4, 5, 7, 8], "the zero and its sides are out"
    without = task_type.arrange(table, recipe.replace({"steering.sides": False}))
    assert len(without) == 3
