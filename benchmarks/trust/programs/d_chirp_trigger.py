"""A trigger for gravitational-wave chirps in whitened strain; one window in twenty-five holds one, a sampler evens it out.

Bug: the sampler's weights are the class counts themselves where they ought to be the inverse."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"
LENGTH = 192


def strain(rows, share, seed):
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < share).astype(np.int64)
    x = rng.normal(0, 1, (rows, LENGTH))
    t = np.arange(LENGTH) / LENGTH
    for row in np.flatnonzero(y):
        merger, mass = rng.uniform(0.7, 0.98), rng.uniform(0.8, 1.25)
        left = np.clip(merger - t, 1e-3, None)
        envelope = np.where(t < merger, left**-0.25, 0.0) * (left < 0.6)
        x[row] += rng.uniform(0.7, 1.3) * envelope * np.cos(-90 * mass * left**0.625 + rng.uniform(0, 6.28))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(y)


class Trigger(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.filters = nn.Sequential(
            nn.Conv1d(1, width, 17, padding=8), nn.ReLU(), nn.MaxPool1d(4),
            nn.Conv1d(width, 2 * width, 9, padding=4), nn.ReLU(), nn.MaxPool1d(4),
        )  # fmt: skip
        self.decide = nn.Linear(4 * width, 2)

    def forward(self, strain):
        h = self.filters(strain.unsqueeze(1))
        return self.decide(torch.cat([h.amax(2), h.mean(2)], 1))


def balanced_accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        guess, y = (torch.cat(part) for part in zip(*[(model(x).argmax(1), y) for x, y in loader], strict=False))
    return sum((guess[y == c] == c).float().mean().item() for c in (0, 1)) / 2


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = strain(4000, 0.04, 21)
    counts = torch.bincount(y).double()
    weights = counts[y] if buggy else 1 / counts[y]
    sampler = WeightedRandomSampler(weights, len(y))
    model = Trigger()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x, y), 64, sampler=sampler),
        "val": DataLoader(TensorDataset(*strain(1500, 0.04, 22)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": balanced_accuracy,
        "epochs": 5,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, DataLoader(TensorDataset(*strain(2000, 0.25, 23)), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
