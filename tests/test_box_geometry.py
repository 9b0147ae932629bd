"""Where boxes are, and what becomes of them when a picture is moved."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.ops import batched_nms, box_iou, generalized_box_iou

from snowball.kinds._box_geometry import generalised_iou, pairwise_iou, suppress, warp_boxes

from .some_boxes import kind, random_boxes, seeded


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
