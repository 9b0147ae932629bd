"""A one-stage detector finds the parcel on a belt: a grid of 6 x 6 cells, each with an objectness logit and a box.

Bug: frames in which nothing passes the confidence threshold are skipped by the score, where they should count as misses.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dropped-rows"
ALSO = ("metric-wrong",)
HIGHER = "report"
SIDE, GRID = 48, 6
CELL = SIDE // GRID
CONFIDENT = 0.5


def belt(count, seed):
    """Frames (count, 1, SIDE, SIDE) and boxes (count, 4) of centre and size in pixels; a fair share is hard to see."""
    g = torch.Generator().manual_seed(seed)
    size = torch.rand(count, 2, generator=g) * 8 + 8
    centre = size / 2 + torch.rand(count, 2, generator=g) * (SIDE - size)
    light = torch.rand(count, generator=g) * 1.4 + 0.1
    axis = torch.arange(SIDE) + 0.5
    across = (axis - centre[:, :1]).abs() < size[:, :1] / 2
    down = (axis - centre[:, 1:]).abs() < size[:, 1:] / 2
    inside = (down[:, :, None] & across[:, None, :]).float()
    frames = light[:, None, None] * inside + 0.5 * torch.randn(count, SIDE, SIDE, generator=g)
    return frames[:, None], torch.cat([centre, size], 1)


class Detector(nn.Module):
    """Frames to (batch, 5, GRID, GRID): objectness, the centre's place in its cell (logits), log of size over a cell."""

    def __init__(self):
        super().__init__()
        layers = []
        for inside, outside in ((1, 16), (16, 32), (32, 48)):
            layers += [nn.Conv2d(inside, outside, 3, 2, 1, bias=False), nn.BatchNorm2d(outside), nn.ReLU()]
        self.body = nn.Sequential(*layers, nn.Conv2d(48, 48, 3, padding=1), nn.ReLU())
        self.head = nn.Conv2d(48, 5, 1)
        with torch.no_grad():
            self.head.bias[0] = -torch.log(torch.tensor(GRID**2 - 1.0))  # one cell of 36 holds the parcel

    def forward(self, frames):
        return self.head(self.body(frames))


def cells(boxes):
    return (boxes[:, :2] / CELL).long().clamp(0, GRID - 1)


def detection_loss(outputs, boxes):
    rows = torch.arange(len(boxes))
    column, line = cells(boxes).T
    there = torch.zeros_like(outputs[:, 0])
    there[rows, line, column] = 1
    found = F.binary_cross_entropy_with_logits(outputs[:, 0], there, reduction="sum") / len(boxes)
    mine = outputs[rows, :, line, column]
    place = boxes[:, :2] / CELL - torch.stack([column, line], 1)
    centre = F.mse_loss(mine[:, 1:3].sigmoid(), place)
    size = F.smooth_l1_loss(mine[:, 3:], (boxes[:, 2:] / CELL).log())
    return found + 2 * centre + 2 * size


def decode(outputs):
    """The box of each frame's most confident cell, and how confident it is."""
    confidence, cell = outputs[:, 0].sigmoid().flatten(1).max(1)
    line, column = cell // GRID, cell % GRID
    mine = outputs[torch.arange(len(outputs)), :, line, column]
    centre = (torch.stack([column, line], 1) + mine[:, 1:3].sigmoid()) * CELL
    return torch.cat([centre, mine[:, 3:].exp() * CELL], 1), confidence


def iou(a, b):
    low = torch.maximum(a[:, :2] - a[:, 2:] / 2, b[:, :2] - b[:, 2:] / 2)
    high = torch.minimum(a[:, :2] + a[:, 2:] / 2, b[:, :2] + b[:, 2:] / 2)
    shared = (high - low).clamp(min=0).prod(1)
    return shared / (a[:, 2:].prod(1) + b[:, 2:].prod(1) - shared)


class MeanIoU:
    """IoU of the reported box and the true one, meaned over the frames."""

    def __init__(self, misses_count=True):
        self.misses_count = misses_count

    @torch.no_grad()
    def __call__(self, model, loader):
        model.eval()
        total = count = 0
        for frames, boxes in loader:
            guessed, confidence = decode(model(frames))
            seen = confidence > CONFIDENT
            total += iou(guessed[seen], boxes[seen]).sum().item()
            count += len(boxes) if self.misses_count else int(seen.sum())
        return total / max(count, 1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Detector()
    return {
        "model": model,
        "loss": detection_loss,
        "train": DataLoader(
            TensorDataset(*belt(1200, 1)), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*belt(1000, 2)), batch_size=125),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": MeanIoU(misses_count=not buggy),
        "epochs": 8,
    }


def truth(model, seed=0):
    return MeanIoU()(model, DataLoader(TensorDataset(*belt(1000, 3)), batch_size=125))


def setup():
    return build(True)


def fixed():
    return build(False)
