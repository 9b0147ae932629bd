"""Finds small crosses among rings and bars in 32 x 32 pictures: per cell of an 8 x 8 grid a score (focal loss) and an offset.

Near: output-bias, since the score's bias begins at the log odds of one in a hundred; class-imbalance, since 2 % of the cells
hold a cross; loss-clipped, since the offsets of empty cells are masked out. Score: F1 of the cells."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("output-bias", "class-imbalance", "loss-clipped", "wrong-loss", "metric-averaging")
GRID, CELL = 8, 4
SIDE = GRID * CELL


def stamps():
    """A cross, a ring and a bar, 5 by 5 each."""
    cross, ring, bar = torch.zeros(3, 5, 5)
    cross[2], cross[:, 2] = 1, 1
    ring[[0, -1], 1:-1], ring[1:-1, [0, -1]] = 1, 1
    bar[1:4] = 1
    return torch.stack([cross, ring, bar])


def scenes(count, seed):
    """Pictures (N, 1, 32, 32); targets (N, 3, 8, 8): there or not, and the centre's row and column within its cell, 0..1."""
    g = torch.Generator().manual_seed(seed)
    pictures, targets = torch.zeros(count, 1, SIDE, SIDE), torch.zeros(count, 3, GRID, GRID)
    shapes = stamps()
    kinds = torch.randint(3, (count, 4), generator=g)
    corners = torch.randint(SIDE - 4, (count, 4, 2), generator=g)
    light = 0.7 + 0.6 * torch.rand(count, 4, generator=g)
    for picture in range(count):
        for kind, (row, column), bright in zip(kinds[picture], corners[picture].tolist(), light[picture], strict=True):
            patch = pictures[picture, 0, row : row + 5, column : column + 5]
            if patch.any():  # no overlaps
                continue
            patch += bright * shapes[kind]
            if kind == 0:
                centre = torch.tensor([row + 2.5, column + 2.5]) / CELL
                r, c = centre.int().tolist()
                targets[picture, 0, r, c] = 1
                targets[picture, 1:, r, c] = centre - centre.floor()
    return pictures + 0.15 * torch.randn(pictures.shape, generator=g), targets


class Detector(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 24, 4, stride=2, padding=1), nn.ReLU(),
            nn.Conv2d(24, 32, 4, stride=2, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        )  # fmt: skip
        self.score, self.offset = nn.Conv2d(32, 1, 1), nn.Conv2d(32, 2, 1)
        nn.init.constant_(self.score.bias, -4.6)

    def forward(self, x):
        hidden = self.body(x)
        return torch.cat([self.score(hidden), self.offset(hidden).sigmoid()], 1)


def loss(outputs, targets):
    there = targets[:, 0]
    plain = F.binary_cross_entropy_with_logits(outputs[:, 0], there, reduction="none")
    chance = outputs[:, 0].sigmoid()
    missed = torch.where(there > 0.5, 1 - chance, chance)
    crosses = there.sum().clamp(min=1)
    focal = (missed**2 * plain * torch.where(there > 0.5, 0.75, 0.25)).sum() / crosses
    offsets = (F.smooth_l1_loss(outputs[:, 1:], targets[:, 1:], reduction="none") * there.unsqueeze(1)).sum() / crosses
    return 4 * focal + offsets


@torch.no_grad()
def f1(model, loader):
    """Over all cells of all batches."""
    model.eval()
    said, there = (
        torch.cat(part) for part in zip(*((model(x)[:, 0] > 0, y[:, 0] > 0.5) for x, y in loader), strict=True)
    )
    return (2 * (said & there).sum() / (said.sum() + there.sum()).clamp(min=1)).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Detector()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*scenes(800, 1)), batch_size=20, shuffle=True),
        "val": DataLoader(TensorDataset(*scenes(150, 2)), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": f1,
        "epochs": 6,
    }


def truth(model, seed=0):
    return f1(model, DataLoader(TensorDataset(*scenes(400, 3)), batch_size=100))


def fixed():
    return build()
