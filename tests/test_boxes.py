"""Boxes: geometry, loss and scores against other implementations and known numbers; bad boxes say why."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, generalized_box_iou

from snowball.collect.read.sample_shapes import shapes
from snowball.design.detection import build_detector
from snowball.design.image import ImageShape
from snowball.finding import BadInput
from snowball.kind import Unreadable
from snowball.kinds._box_geometry import generalised_iou, pairwise_iou, suppress, warp_boxes
from snowball.kinds._box_loss import dense_loss, set_loss
from snowball.kinds._box_scores import BINS, average_precision, coco_scores, match_counts, score_intervals
from snowball.kinds.boxes import Boxes, BoxesKind
from snowball.recipe import Recipe
from snowball.task import tasks

RECIPE = Recipe.build("object-detection", tasks()["object-detection"].section_types())
LABELS = ["cat", "dog", "owl"]


def kind(**keys: Any) -> BoxesKind:
    state = {"labels": LABELS, "counts": [20, 30, 10], "boxes": [[0.2, 0.2, 0.6, 0.6]] * 3, "rows": 30, "most": 4}
    return BoxesKind(RECIPE.replace(keys) if keys else RECIPE, state)


def boxes(*rows: tuple[str, float, float, float, float], width: int = 100, height: int = 50) -> Boxes:
    labels, corners = [row[0] for row in rows], [list(row[1:]) for row in rows]
    return BoxesKind.read({"labels": labels, "boxes": corners, "width": width, "height": height})


def random_boxes(random: torch.Generator, *shape: int, spread: float = 1.0) -> Tensor:
    """Boxes (*shape, 4) in shares; of a small spread they lie over one another."""
    centre = 0.5 + (torch.rand(*shape, 2, generator=random) - 0.5) * spread
    half = 0.02 + 0.2 * torch.rand(*shape, 2, generator=random)
    return torch.cat([centre - half, centre + half], -1)


def seeded(number: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(number)


# Geometry


def test_overlaps_are_torchvisions() -> None:
    first, second = random_boxes(seeded(), 3, 40), random_boxes(seeded(1), 3, 25)
    for row in range(3):
        assert torch.allclose(pairwise_iou(first, second)[row], box_iou(first[row], second[row]), atol=1e-6)
        paired = generalised_iou(first[row, :25], second[row])
        assert torch.allclose(paired, generalized_box_iou(first[row, :25], second[row]).diagonal(), atol=1e-6)


def test_boxes_without_area_overlap_nothing() -> None:
    point = torch.tensor([[[0.5, 0.5, 0.5, 0.5]]])
    assert float(pairwise_iou(point, point)) == 0
    assert math.isfinite(float(generalised_iou(point, point)))


@pytest.mark.parametrize("spread", [0.1, 0.4, 1.0])
def test_suppression_is_torchvisions(spread: float) -> None:
    for seed in range(10):
        corners = random_boxes(seeded(seed), 80, spread=spread)
        labels = torch.randint(0, 3, (80,), generator=seeded(seed))
        scores = torch.linspace(1, 0.1, 80)  # sorted, as `suppress` takes them
        for limit in (0.3, 0.6, 0.9):
            kept = batched_nms(corners, scores, labels, limit)
            assert suppress(corners[None], labels[None], limit)[0].nonzero().flatten().tolist() == sorted(kept.tolist())


@pytest.mark.parametrize("links", [2, 3, 7, 15])
def test_chains_of_boxes_are_suppressed_link_by_link(links: int) -> None:
    """Each box overlaps the next by 0.6 and the one after by 0.33: every other one stays."""
    left = torch.arange(links) * 0.25
    corners = torch.stack([left, torch.zeros(links), left + 1, torch.ones(links)], 1)
    kept = suppress(corners[None], torch.zeros(1, links), 0.5)[0]
    assert kept.tolist() == [number % 2 == 0 for number in range(links)]
    assert (
        kept.nonzero().flatten().tolist()
        == batched_nms(corners, torch.linspace(1, 0.1, links), torch.zeros(links), 0.5).tolist()
    )


def test_a_long_chain_keeps_its_best_box_and_no_two_that_overlap_early_on() -> None:
    """After the last round a longer chain is not greedy's any more; its beginning, of the best scores, is."""
    left = torch.arange(60) * 0.25
    corners = torch.stack([left, torch.zeros(60), left + 1, torch.ones(60)], 1)
    assert suppress(corners[None], torch.zeros(1, 60), 0.5)[0, :16].tolist() == [True, False] * 8


def theta(flip: bool = False, scale: float = 1.0, turn: float = 0.0, shift: tuple[float, float] = (0, 0)) -> Tensor:
    cosine, sine = math.cos(turn) * scale, math.sin(turn) * scale
    linear = torch.tensor([[cosine, -sine], [sine, cosine]]) @ torch.diag(torch.tensor([-1.0 if flip else 1.0, 1.0]))
    return torch.cat([linear, torch.tensor(shift)[:, None]], 1)


MOVES = {
    "nothing": theta(),
    "flip": theta(flip=True),
    "larger": theta(scale=0.7),
    "smaller": theta(scale=1.4),
    "shift": theta(shift=(0.3, -0.5)),
    "turn": theta(turn=0.4),
    "all": theta(True, 1.2, -0.3, (0.1, 0.15)),
}


@pytest.mark.parametrize("move", MOVES)
def test_warped_boxes_hold_what_is_left_of_a_rectangle(move: str) -> None:
    side = 200
    for number, (x1, y1, x2, y2) in enumerate([(60, 70, 120, 110), (90, 80, 150, 130), (110, 60, 130, 140)]):
        picture = torch.zeros(1, 1, side, side)
        picture[:, :, y1:y2, x1:x2] = 1
        grid = F.affine_grid(MOVES[move][None], [1, 1, side, side], align_corners=False)
        rows, columns = (F.grid_sample(picture, grid, align_corners=False)[0, 0] > 0.5).nonzero(as_tuple=True)
        found = torch.tensor([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]) / side
        warped, visible = warp_boxes(torch.tensor([[[x1, y1, x2, y2]]]) / side, MOVES[move][None])
        assert bool(visible), number
        assert torch.allclose(warped[0, 0], found, atol=2.5 / side), (number, warped, found)


def test_boxes_cut_at_the_edge_stay_while_a_quarter_is_seen() -> None:
    target = torch.tensor([[[1, 0.0, 0.4, 0.4, 0.6], [-1, 0, 0, 0, 0]]])
    for left, stays in ((0.2, True), (0.28, True), (0.32, False), (0.6, False)):
        moved = kind().warp(target, theta(shift=(2 * left, 0))[None])[0]
        assert moved[:, 0].tolist() == [1 if stays else -1, -1]
        if stays:
            assert moved[0, 1:].tolist() == pytest.approx([0, 0.4, 0.4 - left, 0.6], abs=1e-6)


# The loss


def outputs(random: torch.Generator, num: int = 3, side: int = 6) -> dict[str, Tensor]:
    """Answers of an untrained network at every place of one grid."""
    at = (torch.arange(side) + 0.5) / side
    x, y = at.repeat(side), at.repeat_interleave(side)
    half = torch.full_like(x, 0.5 / side)
    places = torch.stack([x, y, half, half], 1).expand(num, -1, -1)
    reach = 0.05 + 0.3 * torch.rand(num, side * side, 4, generator=random)
    corners = torch.cat([places[..., :2] - reach[..., :2], places[..., :2] + reach[..., 2:]], 2)
    logits = torch.randn(num, side * side, 3, generator=random) - 2
    return {"logits": logits, "boxes": corners, "places": places}


def some_targets() -> Tensor:
    values = [
        boxes(("cat", 10, 10, 60, 40), ("dog", 50, 5, 90, 45)),
        boxes(("owl", 1, 1, 4, 4)),
        boxes(),
    ]
    return torch.stack([kind().encode(value) for value in values])


def test_the_loss_is_the_mean_over_pictures() -> None:
    out, target = outputs(seeded()), some_targets()
    alone = [kind().loss({k: v[i : i + 1] for k, v in out.items()}, target[i : i + 1]) for i in range(3)]
    assert float(kind().loss(out, target)) == pytest.approx(float(sum(alone) / 3), rel=1e-5)
    assert kind().count(target) == 3


def test_the_loss_of_known_answers() -> None:
    """A sure and exact answer costs nothing; where nobody knows, each place and class costs log 2."""
    one = {"places": torch.tensor([[[0.5, 0.5, 0.5, 0.5]]]), "boxes": torch.tensor([[[0.2, 0.2, 0.8, 0.8]]])}
    target = torch.tensor([[[0, 0.2, 0.2, 0.8, 0.8], [-1, 0, 0, 0, 0]]])
    sure = dense_loss({**one, "logits": torch.tensor([[[20.0, -20.0]]])}, target)
    unsure = dense_loss({**one, "logits": torch.zeros(1, 1, 2)}, target)
    assert float(sure) == pytest.approx(0, abs=1e-5)
    assert float(unsure) == pytest.approx(2 * math.log(2), rel=1e-5)
    empty = torch.tensor([[[-1.0, 0, 0, 0, 0]]])
    assert float(dense_loss({**one, "logits": torch.zeros(1, 1, 2)}, empty)) == pytest.approx(2 * math.log(2), rel=1e-5)
    half = {**one, "boxes": torch.tensor([[[0.2, 0.2, 0.8, 0.5]]]), "logits": torch.full((1, 1, 1), -30.0)}
    # the place is to score its overlap, 0.5: 30 * 0.5 for the score, 5 * 0.5 * (1 - 0.5) for the box
    assert float(dense_loss(half, target[:, :1])) == pytest.approx(15 + 1.25, rel=1e-4)


@pytest.mark.parametrize("of", [dense_loss, set_loss])
def test_padding_has_no_say_in_the_loss(of: Callable[[Mapping[str, Tensor], Tensor], Tensor]) -> None:
    out, target = outputs(seeded(3)), some_targets()
    logits = out["logits"].clone().requires_grad_()
    target = target.requires_grad_()
    of({**out, "logits": logits}, target).sum().backward()
    assert target.grad is not None and logits.grad is not None
    assert target.grad[0, :2, 1:].abs().sum() > 0
    assert target.grad[target[..., 0] < 0].abs().max() == 0
    assert target.grad[2].abs().max() == 0
    with torch.no_grad():
        padded = torch.cat([target, torch.tensor([-1.0, 0.1, 0.1, 0.9, 0.9]).expand(3, 20, 5)], 1)
        assert torch.allclose(of(out, padded), of(out, target))


def test_a_picture_without_boxes_teaches_background_alone() -> None:
    out = outputs(seeded(), num=1)
    leaves = {name: out[name].clone().requires_grad_() for name in ("logits", "boxes")}
    kind().loss({**out, **leaves}, kind().encode(boxes())[None]).backward()
    assert leaves["logits"].grad is not None and (leaves["logits"].grad > 0).all()
    assert leaves["boxes"].grad is None or not leaves["boxes"].grad.any()


def test_a_box_smaller_than_a_cell_is_learned_by_the_cell_it_is_in() -> None:
    out = outputs(seeded(), num=1)
    target = kind().encode(boxes(("owl", 30.2, 20.1, 30.9, 20.4)))[None]
    about = target[0, 0, 1:] + torch.tensor([-0.002, -0.002, 0.002, 0.002])
    logits = out["logits"].clone().requires_grad_()
    dense_loss({**out, "boxes": about.expand(1, 36, 4), "logits": logits}, target).sum().backward()
    assert logits.grad is not None
    taught = (logits.grad - logits.detach().sigmoid())[0].abs() > 1e-6  # else it is background's gradient
    assert taught.nonzero().tolist() == [[2 * 6 + 1, LABELS.index("owl")]]  # column 1 and row 2 of 6 x 6 cells


def test_a_detector_learns_four_pictures() -> None:
    torch.manual_seed(0)
    table = shapes()
    raw = [BoxesKind.read(cell) for cell in table.column("boxes").cells[:4]]
    state = BoxesKind.fit(raw, RECIPE)
    own = BoxesKind(RECIPE, state)
    pictures = torch.from_numpy(np.stack(table.column("image").cells[:4])).permute(0, 3, 1, 2).float()
    target = torch.stack([own.encode(value) for value in raw])
    network = build_detector("light", ImageShape(3, 64, 64, own.num_outputs), [128.0] * 3, [60.0] * 3)
    optimiser = torch.optim.AdamW(network.parameters(), lr=0.004)
    losses = []
    for _ in range(30):
        loss = own.loss(network(image=pictures), target)
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
    assert np.mean(losses[-5:]) < 0.55 * losses[0]  # 0.41 seen, after 30 steps


def test_every_parameter_of_a_detector_gets_a_gradient() -> None:
    network = build_detector("light", ImageShape(1, 32, 32, 3), [128.0], [60.0])
    target = torch.stack([kind().encode(boxes(("cat", 5, 5, 60, 40)))] * 2)
    kind().loss(network(image=torch.rand(2, 1, 32, 32) * 255), target).backward()
    assert [name for name, value in network.named_parameters() if value.grad is None] == []


def test_an_unknown_network_names_the_nearest() -> None:
    for name, said in (("lihgt", "nearest: light"), ("timm:resnet81", "nearest: resnet")):
        with pytest.raises(BadInput, match=said):
            build_detector(name, ImageShape(3, 64, 64, 2), [0.0] * 3, [1.0] * 3)


# Scores


def detections(num: int, seed: int = 0) -> tuple[list[dict[str, Any]], list[Boxes]]:
    """Predictions of a so-so detector: jittered, missed, mislabelled and invented boxes."""
    random = np.random.default_rng(seed)
    predictions, answers = [], []
    for _ in range(num):
        said, rows = [], []
        for _ in range(int(random.integers(0, 6))):
            x, y = random.uniform(0, 60), random.uniform(0, 30)
            box = np.array([x, y, x + random.uniform(8, 40), y + random.uniform(6, 20)])
            label = LABELS[int(random.integers(3))]
            rows.append((label, *box.tolist()))
            if random.random() < 0.8:
                jittered = box + random.normal(0, 1.5, 4)
                named = label if random.random() < 0.85 else LABELS[int(random.integers(3))]
                share = np.clip(jittered / [100, 50, 100, 50], 0, 1)
                said.append({"label": named, "score": float(random.beta(4, 2)), "box": share.tolist()})
        for _ in range(int(random.integers(0, 4))):
            x, y = random.uniform(0, 0.6), random.uniform(0, 0.6)
            box = [x, y, x + random.uniform(0.1, 0.4), y + random.uniform(0.1, 0.4)]
            said.append({"label": LABELS[int(random.integers(3))], "score": float(random.beta(2, 4)), "box": box})
        predictions.append({"boxes": sorted(said, key=lambda one: -float(one["score"]))})
        answers.append(boxes(*rows))
    return predictions, answers


def finished(predictions: list[dict[str, Any]], room: int = 12) -> dict[str, Tensor]:
    """Decoded predictions as the tensors that `finish` gives."""
    scores, labels = torch.zeros(len(predictions), room), torch.zeros(len(predictions), room, dtype=torch.long)
    corners = torch.zeros(len(predictions), room, 4)
    for row, prediction in enumerate(predictions):
        for k, said in enumerate(prediction["boxes"]):
            scores[row, k], labels[row, k] = said["score"], LABELS.index(said["label"])
            corners[row, k] = torch.tensor(said["box"])
    return {"scores": scores, "labels": labels, "corners": corners}


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
