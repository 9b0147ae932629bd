"""Finds the 4 % of tiles with a faint scratch on rolled steel.

Near: one class is rare, but scratched tiles are drawn more often for training, validation keeps the true shares, and
the score is the average precision over all of them, which no threshold or share of the training batches can flatter."""

from functools import cache

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "train-val-mismatch", "metric-averaging", "output-bias")

SIDE = 24


@cache
def tiles(count, seed):
    """Grey tiles (N, 1, SIDE, SIDE) around 0 and whether they are scratched, (N,)."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    grain = rng.normal(0, 1, (count, 1, SIDE)) * 0.6  # rolling marks run down the tile
    pictures = grain + rng.normal(0, 0.7, (count, SIDE, SIDE))
    scratched = rng.random(count) < 0.04
    for tile in np.flatnonzero(scratched):
        angle, offset = rng.uniform(0.25 * np.pi, 0.75 * np.pi), rng.uniform(-5, 5)
        away = (columns - SIDE / 2) * np.cos(angle) + (rows - SIDE / 2) * np.sin(angle) - offset
        along = -(columns - SIDE / 2) * np.sin(angle) + (rows - SIDE / 2) * np.cos(angle)
        pictures[tile] += 1.3 * np.exp(-0.8 * away**2) * (np.abs(along) < rng.uniform(5, 10))
    return torch.tensor(pictures[:, None], dtype=torch.float32), torch.tensor(scratched, dtype=torch.float32)


class ScratchNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 12, 5, padding=2),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
        )
        self.out = nn.Linear(24, 1)

    def forward(self, pictures):
        return self.out(self.features(pictures).amax((2, 3))).squeeze(1)


def average_precision(model, loader):
    model.eval()
    with torch.no_grad():
        scores, true = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return float(average_precision_score(true.numpy(), scores.numpy()))


def flipped(rows):
    """Tiles have no left or right and no up or down."""
    pictures, scratched = (torch.stack(column) for column in zip(*rows, strict=True))
    for axis in (2, 3):
        turn = torch.rand(len(pictures)) < 0.5
        pictures[turn] = pictures[turn].flip(axis)
    return pictures, scratched


def build(seed=0):
    torch.manual_seed(seed)
    pictures, scratched = tiles(3000, 1)
    share = scratched.mean()
    weights = torch.where(scratched > 0.5, 0.25 / share, 0.75 / (1 - share))
    sampler = WeightedRandomSampler(weights, len(weights), generator=torch.Generator().manual_seed(seed))
    model = ScratchNet()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(pictures, scratched), 64, sampler=sampler, collate_fn=flipped),
        "val": DataLoader(TensorDataset(*tiles(1000, 2)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        "evaluate": average_precision,
        "epochs": 8,
    }


def truth(model, seed=0):
    return average_precision(model, DataLoader(TensorDataset(*tiles(3000, 3)), 250))


def fixed():
    return build()
