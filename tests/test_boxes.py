"""Boxes as cells, targets, answers and pictures, and what an audit says of them; bad boxes say why."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torchvision.ops import box_iou

from snowball.finding import BadInput
from snowball.kind import Unreadable
from snowball.kinds.boxes import Boxes, BoxesKind

from .some_boxes import RECIPE, boxes, detections, finished, kind, outputs, seeded

# Reading and encoding

FAULTS: dict[str, tuple[list[float], str]] = {
    "a point": ([30, 20, 30, 20], "no area; set aside"),
    "a line": ([30, 20, 60, 20], "no area; set aside"),
    "inverted": ([60, 20, 30, 40], "inverted; set aside"),
    "upside down": ([30, 40, 60, 20], "inverted; set aside"),
    "outside": ([120, 10, 140, 30], "outside the picture of 100 x 50; set aside"),
    "above": ([10, -30, 40, -5], "outside the picture of 100 x 50; set aside"),
    "NaN": ([math.nan, 10, 40, 30], "not finite; set aside"),
    "infinite": ([10, 10, math.inf, 30], "not finite; set aside"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_bad_box_is_set_aside_by_name_and_no_other(fault: str) -> None:
    box, said = FAULTS[fault]
    good = [[10, 10, 40, 30], [0, 0, 100, 50]]
    cell = {"labels": ["cat", "owl", "dog"], "boxes": [good[0], box, good[1]], "width": 100, "height": 50}
    value = BoxesKind.read({**cell, "where": "a.xml"})
    assert value.labels == ("cat", "dog")
    assert value.corners.tolist() == good
    (named,) = value.faults
    assert named.startswith("a.xml, box 2 (owl, ")
    assert named.endswith(said)


def test_a_box_that_leaves_the_picture_is_cut_and_named() -> None:
    value = boxes(("cat", -20, 10, 50, 80), ("dog", -1, 0, 100.9, 50), ("owl", 90, 40, 99, 49))
    assert value.corners.tolist() == [[0, 10, 50, 50], [0, 0, 100, 50], [90, 40, 99, 49]]
    (named,) = value.faults  # one pixel over the edge is how VOC counts, and no fault
    assert "box 1 (cat, -20, 10, 50, 80): leaves the picture of 100 x 50; cut at its edge" in named


def test_cells_that_are_no_boxes_say_why() -> None:
    whole = {"labels": ["cat"], "boxes": [[0, 0, 9, 9]], "width": 100, "height": 50}
    with pytest.raises(Unreadable, match=r"a\.xml: not XML"):
        BoxesKind.read({"error": "a.xml: not XML"})
    for cell in (None, "boxes", 3):
        with pytest.raises(Unreadable, match="no boxes in this row"):
            BoxesKind.read(cell)
    value = BoxesKind.read(whole)
    assert BoxesKind.read(value) is value
    assert str(value) == "1 cat" and str(boxes()) == "nothing"


def test_fit_counts_labels_and_refuses_pictures_of_nothing() -> None:
    state = BoxesKind.fit([boxes(("dog", 0, 0, 50, 50), ("cat", 0, 0, 10, 5)), boxes(("dog", 50, 0, 100, 50))], RECIPE)
    assert state["labels"] == ["cat", "dog"]
    assert state["counts"] == [1, 2]
    assert state["boxes"] == [[0, 0, 0.1, 0.1], [0.25, 0, 0.75, 1]]
    assert (state["rows"], state["most"]) == (2, 2)
    with pytest.raises(BadInput, match="no box in any training picture"):
        BoxesKind.fit([boxes()], RECIPE)


def test_encode_gives_classes_and_shares() -> None:
    target = kind().encode(boxes(("dog", 50, 0, 100, 25), ("cat", 0, 10, 10, 50)))
    assert target.shape == (8, 5)
    assert target[:2].tolist() == [[1, 0.5, 0, 1, 0.5], [0, 0, pytest.approx(0.2), pytest.approx(0.1), 1]]
    assert (target[2:, 0] == -1).all()
    with pytest.raises(Unreadable, match="label 'newt' occurs in no training picture; the labels are cat, dog, owl"):
        kind().encode(boxes(("newt", 0, 0, 9, 9)))


def test_of_more_boxes_than_there_is_room_for_the_largest_stay_in_order() -> None:
    rows = [("cat", 0.0, 0.0, float(1 + side), 10.0) for side in (3, 50, 1, 40, 7, 30, 2, 20, 60, 70)]
    target = kind().encode(boxes(*rows))
    assert [round(at * 100) - 1 for at in target[:, 3].tolist()] == [3, 50, 40, 7, 30, 20, 60, 70]


def test_equal_boxes_have_equal_digests() -> None:
    one = boxes(("cat", 0, 0, 9, 9))
    others = [boxes(("dog", 0, 0, 9, 9)), boxes(("cat", 0, 0, 9, 8)), boxes(("cat", 0, 0, 9, 9), width=101)]
    assert BoxesKind.digest(one) == BoxesKind.digest(boxes(("cat", 0, 0, 9, 9)))
    assert BoxesKind.digest(one) not in {BoxesKind.digest(other) for other in others}


# Answering


def test_answers_are_sorted_suppressed_and_limited() -> None:
    out = outputs(seeded(2), num=2, side=20)
    done = kind(**{"boxes.max_boxes": 7, "boxes.max_overlap": 0.3}).finish(out)
    assert {name: tuple(value.shape) for name, value in done.items()} == {
        "scores": (2, 7),
        "labels": (2, 7),
        "corners": (2, 7, 4),
    }
    assert (done["scores"].diff(dim=1) <= 0).all()
    assert done["corners"].min() >= 0 and done["corners"].max() <= 1
    for row in range(2):
        overlap = box_iou(done["corners"][row], done["corners"][row]).fill_diagonal_(0)
        same = done["labels"][row][:, None] == done["labels"][row][None]
        assert (overlap * same).max() <= 0.3
    few = kind().finish(outputs(seeded(), num=1, side=3))
    assert few["scores"].shape == (1, 9)


def test_answers_name_label_score_and_box() -> None:
    done = {
        "scores": np.array([[0.875, 0.5, 0.001], [0.0, 0.0, 0.0]], np.float32),
        "labels": np.array([[2, 0, 1], [0, 0, 0]]),
        "corners": np.zeros((2, 3, 4), np.float32) + np.array([0.25, 0.0, 0.5, 1.0], np.float32),
    }
    first, second = kind().decode(done)
    assert first["boxes"] == [
        {"label": "owl", "score": 0.875, "box": [0.25, 0.0, 0.5, 1.0]},
        {"label": "cat", "score": 0.5, "box": [0.25, 0.0, 0.5, 1.0]},
    ]
    assert second == {"boxes": []}
    assert kind().predicted_caption(first) == "1 owl, 1 cat"


def test_runtimes_differ_by_what_was_lost_and_not_by_the_order() -> None:
    predictions, _ = detections(10)
    done = {name: value.numpy() for name, value in finished(predictions, room=12).items()}
    assert kind().difference(done, done) == 0
    turned = {name: value[:, ::-1] for name, value in done.items()}
    assert kind().difference(done, turned) == 0
    row = max(range(10), key=lambda one: len(predictions[one]["boxes"]))
    for part, change, least in (("scores", 0.0, 0.1), ("corners", 0.9, 0.1), ("labels", 7, 0.9)):
        lost = {name: value.copy() for name, value in done.items()}
        lost[part][row, 0] = change
        assert kind().difference(done, lost) > least
        assert kind().difference(lost, done) > least
    nearly = {**done, "corners": done["corners"] + 1e-4}
    assert kind().difference(done, nearly) == pytest.approx(1e-4, rel=0.01)


def test_boxes_are_drawn_where_they_are() -> None:
    blank = Image.new("RGB", (200, 100))
    answer = boxes(("cat", 10, 10, 50, 40))
    prediction = {"boxes": [{"label": "dog", "score": 0.9, "box": [0.6, 0.5, 0.9, 0.9]}]}
    truth = np.asarray(kind().draw_on(blank, answer, None))
    rows, columns = truth.any(2).nonzero()
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == pytest.approx((20, 20, 99, 79), abs=1)
    said = np.asarray(kind().draw_on(blank, None, prediction))
    assert said[70, 119:123].any() and not said[:, :100].any()
    assert (said.max(2) > 0).sum() > 200
    assert not np.asarray(kind().draw_on(blank, None, None)).any()
    assert not np.asarray(blank).any(), "the picture that was given stays as it is"
    edge = {"boxes": [{"label": "cat", "score": 1.0, "box": [0.0, 0.0, 1.0, 1.0]}]}
    assert np.asarray(kind().draw_on(Image.new("L", (8, 8)), boxes(("owl", 0, 0, 100, 50)), edge)).shape == (8, 8, 3)


# The audit


def checks(*values: Boxes) -> dict[str, Any]:
    facts = [BoxesKind.facts(value) for value in values]
    return {finding.check: finding for finding in kind().audit(facts)}


def test_the_audit_names_bad_boxes() -> None:
    found = checks(boxes(("cat", 5, 5, 5, 9), ("cat", 0, 0, 9, 9)), boxes(("dog", -9, 0, 9, 9)))
    assert found.keys() == {"bad-boxes"}
    assert found["bad-boxes"].message.startswith("2 boxes are not as they should be, e.g. boxes, box 1 (cat, 5, 5, 5")
    assert found["bad-boxes"].evidence["count"] == 2


def test_the_audit_names_doubles() -> None:
    found = checks(boxes(("cat", 0, 0, 40, 40), ("cat", 0, 0, 40, 39), ("dog", 50, 0, 90, 40), ("owl", 50, 0, 90, 41)))
    assert found.keys() == {"duplicate-boxes", "conflicting-boxes"}
    assert found["duplicate-boxes"].evidence == {"cat and cat": 1}
    assert found["conflicting-boxes"].evidence == {"dog and owl": 1}
    assert not checks(boxes(("cat", 0, 0, 40, 40), ("cat", 0, 0, 40, 30)))


def test_the_audit_names_rare_labels() -> None:
    rare = BoxesKind(RECIPE, {**kind().state, "counts": [100, 9, 100]})
    (finding,) = rare.audit([BoxesKind.facts(boxes())])
    assert finding.check == "rare-classes"
    assert finding.evidence == {"dog": 9}


def test_the_summary_counts_boxes() -> None:
    facts = [BoxesKind.facts(value) for value in (boxes(("cat", 0, 0, 9, 9), ("dog", 0, 0, 90, 45)), boxes())]
    assert BoxesKind.summary(facts) == {
        "boxes": {"cat": 1, "dog": 1},
        "boxes in a picture": {"least": 0, "most": 2, "none": 1},
        "smaller than 32 x 32": {"": 1},
    }
