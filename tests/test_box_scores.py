"""Average precision and what goes with it, beside COCO's own."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch

from snowball.kinds._box_scores import BINS, average_precision, coco_scores, match_counts, score_intervals
from snowball.kinds.boxes import Boxes

from .some_boxes import LABELS, boxes, detections, finished, kind, outputs, seeded, some_targets


def summed(predictions: list[dict[str, Any]], answers: list[Boxes]) -> float:
    """map50 from histograms that were summed batch by batch, as a validation does it."""
    target = torch.stack([kind().encode(answer) for answer in answers])
    counts = torch.zeros(3, BINS, 2, dtype=torch.float64)
    for part in torch.arange(len(answers)).split(7):
        counts += match_counts({k: v[part] for k, v in finished(predictions).items()}, target[part], 3)
    true = [sum(answer.labels.count(label) for answer in answers) for label in LABELS]
    return average_precision(np.concatenate([counts.flatten().numpy(), true]), 3)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_summed_precision_is_cocos(seed: int) -> None:
    predictions, answers = detections(150, seed)
    exact = kind().score(predictions, answers)["map50"]
    assert 0.3 < exact < 0.95
    assert summed(predictions, answers) == pytest.approx(exact, abs=0.02)


def perfect(answers: list[Boxes], **changed: Any) -> list[dict[str, Any]]:
    side = np.array([100, 50, 100, 50])
    return [
        {
            "boxes": [
                {"label": label, "score": 0.9, "box": (corners / side).tolist(), **changed}
                for label, corners in zip(answer.labels, answer.corners, strict=True)
            ]
        }
        for answer in answers
    ]


def test_scores_of_the_obvious_cases() -> None:
    _, answers = detections(20)
    right, nothing = perfect(answers), [{"boxes": []}] * 20
    wrong = perfect(answers, box=[0.0, 0.0, 0.01, 0.01])
    doubled = [{"boxes": one["boxes"] + [{**box, "score": 0.4} for box in one["boxes"]]} for one in right]
    for said, expected in ((right, 1.0), (nothing, 0.0), (wrong, 0.0), (doubled, 1.0)):
        figures = kind().score(said, answers)
        assert [figures[name] for name in ("map", "map50", "map75")] == pytest.approx([expected] * 3)
        assert summed(said, answers) == pytest.approx(expected)
    assert "map_small" in kind().score(right, answers)


def test_half_found_is_half_right() -> None:
    """Of one class, every second true box is found and nothing else is said: 51 of COCO's 101 recalls are reached."""
    answers = [boxes(("cat", 10, 10, 30, 30)) for _ in range(40)]
    said = [one if row % 2 else {"boxes": []} for row, one in enumerate(perfect(answers))]
    assert kind().score(said, answers)["map50"] == pytest.approx(51 / 101)
    assert summed(said, answers) == pytest.approx(51 / 101)


def test_pictures_without_any_box_score_nothing_and_do_not_fail() -> None:
    answers = [boxes(), boxes()]
    said = [{"boxes": [{"label": "cat", "score": 0.9, "box": [0.1, 0.1, 0.5, 0.5]}]}, {"boxes": []}]
    for predictions in (said, [{"boxes": []}] * 2):
        assert kind().score(predictions, answers)["map50"] == 0.0
        low, high = kind().intervals(predictions, answers)["map50"]
        assert math.isnan(low) and math.isnan(high)
        assert kind().blocks(predictions, answers)[0].content["rows"][0] == ["cat", None, None, None, None, None, 0]


def test_the_interval_holds_the_score() -> None:
    predictions, answers = detections(120, 4)
    value = coco_scores(predictions, answers, LABELS).figures["map50"]
    low, high = score_intervals(predictions, answers, LABELS)["map50"]
    assert low < value < high
    assert 0.03 < high - low < 0.2
    assert score_intervals(perfect(answers), answers, LABELS)["map50"] == pytest.approx((1.0, 1.0))
    assert kind().intervals([{"boxes": []}] * 120, answers)["map50"] == (0.0, 0.0)


def test_the_report_counts_boxes_by_class() -> None:
    predictions, answers = detections(60)
    table, curves = kind().blocks(predictions, answers)
    assert [row[0] for row in table.content["rows"]] == LABELS
    assert sum(row[-1] for row in table.content["rows"]) == sum(len(answer.labels) for answer in answers)
    mean = np.mean([row[1] for row in table.content["rows"]])
    assert mean == pytest.approx(kind().score(predictions, answers)["map50"], abs=1e-3)
    assert all(len(curve) == 101 for curve in curves.content["series"].values())


def test_measures_of_batches_add_up() -> None:
    out, target = outputs(seeded(5)), some_targets()
    whole, num = kind().measure(out, target)["matches"]
    parts = [
        kind().measure({k: v[i : i + 1] for k, v in out.items()}, target[i : i + 1])["matches"][0] for i in range(3)
    ]
    assert num == 3
    assert torch.equal(torch.as_tensor(whole), torch.stack(parts).sum(0))
    derived = kind().derive({"loss": 1.0, "matches": (torch.as_tensor(whole) / 3).tolist()})
    assert derived.keys() == {"loss", "map50_binned"}


def test_the_worst_answers_have_the_largest_fault() -> None:
    answer = boxes(("cat", 10, 10, 60, 40), ("dog", 50, 5, 90, 45))
    (right,) = perfect([answer])
    one = {"boxes": right["boxes"][:1]}
    faults = [kind().fault(said, answer) for said in (right, one, {"boxes": []})]
    assert faults[0] == 0 < faults[1] < faults[2]
    assert kind().fault(right, boxes()) > 0
