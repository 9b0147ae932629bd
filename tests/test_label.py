"""Labels: metrics against scikit-learn and known numbers, decoding, and the audit."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, precision_recall_fscore_support

from snowball.calibration import calibration_bins, expected_calibration_error
from snowball.finding import BadInput
from snowball.kind import Unreadable
from snowball.kinds.label import LabelKind
from snowball.recipe import Recipe
from snowball.registry import tasks

RECIPE = Recipe.build("image-classification", tasks()["image-classification"].section_types())
LABELS = ["0", "1", "2", "10"]


def kind() -> LabelKind:
    return LabelKind(RECIPE, LabelKind.fit(["10", "2", "0", "1", "1"], RECIPE))


def predictions(labels: list[str], confidence: float = 0.9) -> list[dict[str, object]]:
    return [{"label": label, "confidence": confidence} for label in labels]


def test_fit_sorts_numbers_as_numbers_and_counts() -> None:
    assert kind().state == {"labels": LABELS, "counts": [1, 2, 1, 1]}
    assert LabelKind.fit(["b", "10", "9", "a"], RECIPE)["labels"] == ["9", "10", "a", "b"]


def test_one_class_is_refused_by_name() -> None:
    with pytest.raises(BadInput, match="only one class \\('cat'\\)"):
        LabelKind.fit(["cat", "cat"], RECIPE)


def test_unknown_and_empty_labels_are_unreadable() -> None:
    with pytest.raises(Unreadable, match="'dog' does not occur"):
        kind().encode("dog")
    for cell in ("", "  ", None):
        with pytest.raises(Unreadable, match="empty"):
            LabelKind.read(cell)


def test_scores_agree_with_scikit_learn() -> None:
    random = np.random.default_rng(0)
    actual = [LABELS[i] for i in random.integers(0, 4, 500)]
    said = [
        LABELS[i] if random.random() < 0.3 else label
        for i, label in zip(random.integers(0, 4, 500), actual, strict=True)
    ]
    scores = kind().score(predictions(said), actual)
    assert scores["accuracy"] == pytest.approx(accuracy_score(actual, said))
    assert scores["f1"] == pytest.approx(f1_score(actual, said, average="macro"))
    table, matrix, _ = kind().blocks(predictions(said), actual)
    assert matrix.content["values"] == confusion_matrix(actual, said, labels=LABELS).tolist()
    expected = np.array(precision_recall_fscore_support(actual, said, labels=LABELS)).T
    found = np.array([row[1:] for row in table.content["rows"]], dtype=float)
    assert np.allclose(found, expected, atol=1e-4)


def test_calibration_error_of_known_cases() -> None:
    right = np.array([True] * 9 + [False])
    assert expected_calibration_error(np.full(10, 0.9), right) == pytest.approx(0.0)
    assert expected_calibration_error(np.full(10, 1.0), right) == pytest.approx(0.1)
    # two bins: 0.3 right half of the time, 1.0 right always
    confidence, right = np.array([0.3, 0.3, 1.0, 1.0]), np.array([True, False, True, True])
    assert expected_calibration_error(confidence, right) == pytest.approx(0.5 * 0.2)
    counts, mean_confidence, accuracy = calibration_bins(confidence, right)
    assert counts.sum() == 4
    assert (mean_confidence[4], accuracy[4], mean_confidence[14], accuracy[14]) == pytest.approx((0.3, 0.5, 1.0, 1.0))


def test_loss_is_cross_entropy_and_takes_shares() -> None:
    logits = torch.tensor([[2.0, 0.0, 0.0, 0.0], [0.0, 1.0, 0.0, 0.0]])
    target = torch.tensor([0, 2])
    loss = kind().loss({"logits": logits}, target)
    by_hand = -(2 - math.log(math.exp(2) + 3)) / 2 - (0 - math.log(math.e + 3)) / 2
    assert float(loss) == pytest.approx(by_hand)
    shares = torch.nn.functional.one_hot(target, 4).float()
    assert float(kind().loss({"logits": logits}, shares)) == pytest.approx(by_hand)


def test_smoothing_spreads_the_target() -> None:
    smooth = LabelKind(RECIPE.replace({"label.smoothing": 0.2}), kind().state)
    logits = torch.randn(5, 4)
    target = torch.tensor([0, 1, 2, 3, 0])
    shares = torch.nn.functional.one_hot(target, 4).float() * 0.8 + 0.05
    assert torch.allclose(smooth.loss({"logits": logits}, target), kind().loss({"logits": logits}, shares))


def test_decode_names_the_class_its_confidence_and_the_runners_up() -> None:
    outputs = kind().finish({"logits": torch.tensor([[0.0, 3.0, 1.0, 2.0]])})
    (answer,) = kind().decode({name: value.numpy() for name, value in outputs.items()})
    assert answer["label"] == "1"
    assert list(answer["probabilities"]) == ["1", "10", "2", "0"]
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0)
    assert answer["confidence"] == answer["probabilities"]["1"]


def test_blend_mixes_with_the_row_before() -> None:
    mixed = kind().blend(torch.tensor([0, 1]), torch.tensor([0.75, 1.0]))
    assert mixed.tolist() == [[0.75, 0.25, 0, 0], [0, 1, 0, 0]]


def test_baseline_is_the_commonest_training_class() -> None:
    assert kind().baseline()["label"] == "1"
    assert kind().baseline()["confidence"] == pytest.approx(2 / 5)


def test_audit_names_imbalance_and_rare_classes() -> None:
    facts = [{"label": "a"}] * 100 + [{"label": "b"}] * 3
    assert {finding.check for finding in kind().audit(facts)} == {"class-imbalance", "rare-classes"}
    assert not kind().audit([{"label": "a"}] * 20 + [{"label": "b"}] * 10)
