"""Forecasts the next hour's water level from the last 24 hours; storms come and go, and the weeks lie in their order.

Bug: the skill is one less the mean of the batches' root mean squared errors over the spread of the levels; roots must be
taken after the mean, and batches of calm weeks now hide the stormy ones."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ("metric-wrong",)
HIGHER = "report"
HISTORY = 24


def levels(hours, seed):
    rng = np.random.default_rng(seed)
    time = np.arange(hours)
    storm = np.exp(1.6 * np.sin(2 * np.pi * time / 700 + rng.uniform(0, 6)) - 1)
    surge, previous = np.zeros(hours), 0.0
    for hour in range(hours):
        previous = 0.85 * previous + 0.35 * storm[hour] * rng.normal()
        surge[hour] = previous
    tide = 0.9 * np.sin(2 * np.pi * time / 12.42) + 0.3 * np.sin(2 * np.pi * time / 25.8 + 1)
    level = tide + surge + 0.15 * tide * np.tanh(surge)
    rows = torch.tensor(level, dtype=torch.float32).unfold(0, HISTORY + 1, 1)
    return TensorDataset(rows[:, :HISTORY].clone(), rows[:, HISTORY].clone())


class Surge(nn.Module):
    """Adds a correction to the last level."""

    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(HISTORY, 48), nn.Tanh(), nn.Linear(48, 1))

    def forward(self, past):
        return past[:, -1] + self.net(past).squeeze(1)


@torch.no_grad()
def skill(model, loader):
    """One less the root mean squared error over the spread of the levels."""
    model.eval()
    said, level = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((said - level).square().mean().sqrt() / level.std()).item()


@torch.no_grad()
def skill_by_batch(model, loader):
    model.eval()
    roots = torch.stack([(model(x) - y).square().mean().sqrt() for x, y in loader])
    spread = torch.cat([y for _, y in loader]).std()
    return 1 - (roots.mean() / spread).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Surge()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(levels(6000, 1), batch_size=64, shuffle=True),
        "val": DataLoader(levels(4224, 2), batch_size=70),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": skill_by_batch if buggy else skill,
        "epochs": 8,
    }


def truth(model, seed=0):
    return skill(model, DataLoader(levels(7024, 3), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
