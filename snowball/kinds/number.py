"""Number: a measurement. One output in units of the training rows' spread, a Huber or squared loss, a value back."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import Tensor

from ..answer import Answer
from ..finding import BadInput, Finding
from ..kind import Block, Metric, Unreadable
from ..recipe import Recipe, Section

__all__ = ["NumberKind", "NumberSection", "block_intervals"]

BINS = 9  # of the true value, in the report; odd, so that a range around 0 has one of its own
SHOWN_ROWS = 300  # consecutive rows in the report's trace
MOSTLY = 0.5  # share of the rows with one and the same number from which the audit speaks of it
DRAWS = 500


class NumberSection(Section):
    """How numbers are trained."""

    key = "number"

    loss: Literal["huber", "mse"] = "huber"
    """`huber` is squared up to `delta` and linear beyond, so that single far-off rows do not rule."""
    delta: float = Field(1.0, gt=0)
    """Where `huber` turns linear, in standard deviations of the training rows."""


class NumberKind(Answer):
    """State: `mean`, `std`, `median`, `low`, `high` of the training rows, and `chance`, the loss of their mean."""

    key = "number"
    sections = (NumberSection,)
    words: ClassVar[tuple[str, ...]] = ("steer", "angle")
    traits: ClassVar[tuple[str, ...]] = ("value",)
    metric: ClassVar[Metric] = Metric("mae", "min")
    graded = True

    @classmethod
    def read(cls, cell: Any) -> float:
        text = "" if cell is None else str(cell).strip()
        if not text:
            raise Unreadable("no number in this row")
        try:
            value = float(text)
        except ValueError:
            raise Unreadable(f"{text[:40]!r} is not a number") from None
        if not math.isfinite(value):
            raise Unreadable(f"{text!r} is not a finite number")
        return value

    @classmethod
    def fit(cls, values: Iterable[float], recipe: Recipe) -> dict[str, Any]:
        numbers = np.array(list(values))
        if not len(numbers):
            raise BadInput("no readable number among the training rows")
        mean, std = float(numbers.mean()), float(numbers.std())
        if not std > 1e-12 * max(1.0, abs(mean)):
            raise BadInput(f"every training row has the number {mean:g}: there is nothing to learn")
        section = recipe[NumberSection]
        chance = _loss(section, torch.zeros(len(numbers)), torch.from_numpy((numbers - mean) / std).float())
        return {
            "mean": mean,
            "std": std,
            "median": float(np.median(numbers)),
            "low": float(numbers.min()),
            "high": float(numbers.max()),
            "chance": float(chance),
        }

    @property
    def num_outputs(self) -> int:
        return 1

    def encode(self, value: float) -> Tensor:
        return torch.tensor(value, dtype=torch.float32)

    @classmethod
    def facts(cls, value: float) -> dict[str, Any]:
        return {"value": value}

    @classmethod
    def summary(cls, facts: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        values = np.array([fact["value"] for fact in facts])
        if not len(values):
            return {}
        figures = {"least": values.min(), "mean": values.mean(), "most": values.max(), "deviation": values.std()}
        zeros = {
            "exactly 0": int((values == 0).sum()),
            "below": int((values < 0).sum()),
            "above": int((values > 0).sum()),
        }
        return {"numbers": {name: round(float(value), 4) for name, value in figures.items()}, "signs": zeros}

    def audit(self, facts: Sequence[Mapping[str, Any]]) -> list[Finding]:
        (value, count), *_ = Counter(fact["value"] for fact in facts).most_common(1) or [(0.0, 0)]
        if count <= MOSTLY * len(facts) or not count:
            return []
        message = (
            f"{count:,} of {len(facts):,} rows have exactly the number {value:g}: always saying so looks good in mae"
        )
        fix = "look at rmse and at the error by true value"
        return [Finding("mostly-one-value", "note", message, {"value": value, "rows": count}, fix)]

    def loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> Tensor:
        wanted = (target - self.state["mean"]) / self.state["std"]
        return _loss(self.recipe[NumberSection], outputs["logits"].float()[:, 0], wanted)

    def measure(self, outputs: Mapping[str, Tensor], target: Tensor) -> dict[str, tuple[Tensor, int | Tensor]]:
        error = self._value(outputs) - target  # (B,)
        return {"mae": (error.abs().sum(), len(target)), "mse": (error.square().sum(), len(target))}

    def derive(self, means: dict[str, Any]) -> dict[str, float]:
        others = {name: value for name, value in means.items() if name != "mse"}
        return {**others, "rmse": math.sqrt(means["mse"])} if "mse" in means else others

    def blend(self, target: Tensor, keep: Tensor) -> Tensor:
        return torch.lerp(target.roll(1, 0), target, keep)

    def _value(self, outputs: Mapping[str, Tensor]) -> Tensor:
        """(B,) in the unit of the answers."""
        value: Tensor = outputs["logits"].float()[:, 0] * self.state["std"] + self.state["mean"]
        return value

    def finish(self, outputs: dict[str, Tensor]) -> dict[str, Tensor]:
        return {**outputs, "value": self._value(outputs)}

    def as_target(self, outputs: Mapping[str, Tensor]) -> Tensor:
        return outputs["value"].float()

    def decode(self, outputs: Mapping[str, np.ndarray]) -> list[dict[str, Any]]:
        return [{"value": float(value)} for value in outputs["value"]]

    def score(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, float]:
        predicted, actual = _arrays(predictions, answers)
        return _errors(predicted - actual)

    def baseline(self) -> dict[str, Any]:
        return {"value": self.state["median"]}  # no constant has a smaller mae on the training rows

    @property
    def _constants(self) -> dict[str, float]:
        return {"always the mean": self.state["mean"], "always the median": self.state["median"], "always 0": 0.0}

    def constant_scores(self, answers: Sequence[Any]) -> dict[str, float]:
        actual = np.array(answers, dtype=np.float64)
        scores = [_errors(constant - actual) for constant in self._constants.values()]
        return {name: min(score[name] for score in scores) for name in scores[0]}

    def fault(self, prediction: Mapping[str, Any], answer: Any) -> float:
        return abs(float(prediction["value"]) - float(answer))

    def chance_loss(self, outputs: Mapping[str, Tensor], target: Tensor) -> float | None:
        return float(self.state["chance"])

    @classmethod
    def caption(cls, value: Any) -> str:
        return f"{value:.4g}"

    @classmethod
    def predicted_caption(cls, prediction: Mapping[str, Any]) -> str:
        return f"{prediction['value']:.4g}"

    def blocks(self, predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> list[Block]:
        predicted, actual = _arrays(predictions, answers)
        rows = [["this network", *_errors(predicted - actual).values()]]
        rows += [[name, *_errors(constant - actual).values()] for name, constant in self._constants.items()]
        shown = slice(0, SHOWN_ROWS)
        trace = {
            "x": list(range(len(actual[shown]))),
            "series": {"true": actual[shown].round(4).tolist(), "predicted": predicted[shown].round(4).tolist()},
            "x_label": "row",
            "y_label": "number",
        }
        by_value, by_range = self._by_value(predicted, actual)
        return [
            Block("Beside constant answers", "table", {"columns": ["answer", "mae", "rmse"], "rows": rows}),
            Block("Error by true value", "table", by_range, "bias: how much too high the answers are on average"),
            Block("Predicted by true value", "lines", by_value, "the mean of each range; right is the diagonal"),
            Block("Row by row", "lines", trace, f"the first {len(trace['x'])} rows, in order"),
        ]

    def _by_value(self, predicted: np.ndarray, actual: np.ndarray) -> tuple[dict[str, Any], dict[str, Any]]:
        """Mean prediction and error in equal ranges of the true value: as lines and as a table."""
        edges = np.linspace(actual.min(), actual.max(), BINS + 1)
        bins = np.clip(np.searchsorted(edges, actual, side="right") - 1, 0, BINS - 1)
        xs, means, rows = [], [], []
        for number in np.unique(bins):
            inside = bins == number
            error = predicted[inside] - actual[inside]
            xs.append(round(float(actual[inside].mean()), 4))
            means.append(round(float(predicted[inside].mean()), 4))
            name = f"{edges[number]:.3g} to {edges[number + 1]:.3g}"
            constant = float(np.abs(actual[inside] - self.state["mean"]).mean())
            rows.append([name, int(inside.sum()), float(np.abs(error).mean()), float(error.mean()), constant])
        lines = {"x": xs, "series": {"predicted": means}, "diagonal": True, "x_label": "true", "y_label": "predicted"}
        return lines, {"columns": ["true value", "rows", "mae", "bias", "mae of always the mean"], "rows": rows}


def _loss(section: NumberSection, found: Tensor, wanted: Tensor) -> Tensor:
    if section.loss == "mse":
        return F.mse_loss(found, wanted)
    return F.huber_loss(found, wanted, delta=section.delta)


def _arrays(predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> tuple[np.ndarray, np.ndarray]:
    """Predicted and true numbers, (N,) each."""
    return np.array([prediction["value"] for prediction in predictions]), np.array(answers, dtype=np.float64)


def _errors(error: np.ndarray) -> dict[str, float]:
    return {"mae": float(np.abs(error).mean()), "rmse": float(np.sqrt(np.square(error).mean()))}


def block_intervals(predictions: Sequence[Mapping[str, Any]], answers: Sequence[Any]) -> dict[str, tuple[float, float]]:
    """95 % intervals of mae and rmse for rows in order, of which neighbours are alike: whole runs of rows are drawn.

    The circular block bootstrap (Politis and Romano, 1992). Rows drawn one by one would promise too much.
    """
    predicted, actual = _arrays(predictions, answers)
    error = predicted - actual
    num = len(error)
    length = max(1, round(2 * num ** (1 / 3)))
    random = np.random.Generator(np.random.Philox(0))
    drawn = []
    for _ in range(DRAWS):
        starts = random.integers(num, size=-(-num // length))
        drawn.append(_errors(error[(starts[:, None] + np.arange(length)).ravel()[:num] % num]))
    within = {}
    for name in ("mae", "rmse"):
        low, high = np.quantile([draw[name] for draw in drawn], [0.025, 0.975])
        within[name] = float(low), float(high)
    return within
