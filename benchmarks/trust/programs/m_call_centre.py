"""Forecasts the 0.9 quantile of the next hour's calls from the last 32 hours with gated dilated convolutions.

Bug: the pinball loss has its two sides swapped, so the 0.1 quantile is what it learns. Score: one less the pinball loss
over that of the best constant."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "wrong-loss"
ALSO = ("loss-sign",)
HIGHER = "truth"
QUANTILE, WINDOW = 0.9, 32


def calls(hours, seed):
    rng = np.random.default_rng(seed)
    level, series = 0.0, np.zeros(hours)
    for hour in range(hours):
        level = 0.9 * level + rng.normal(0, 0.25)
        day = np.sin(2 * np.pi * hour / 24)
        series[hour] = 1.2 * day + level + (0.35 + 0.25 * day) * rng.gumbel(0, 1)
    return torch.tensor(series, dtype=torch.float32)


def windows(series):
    """(N, 1, 32) hours and the (N, 1) that follow."""
    every = series.unfold(0, WINDOW + 1, 1)
    return every[:, None, :WINDOW].contiguous(), every[:, WINDOW:].contiguous()


class Gated(nn.Module):
    def __init__(self, width, dilation):
        super().__init__()
        self.both = nn.Conv1d(width, 2 * width, 3, dilation=dilation, padding=dilation)

    def forward(self, x):
        value, gate = self.both(x).chunk(2, 1)
        return x + value.tanh() * gate.sigmoid()


def network(width=20):
    return nn.Sequential(
        nn.Conv1d(1, width, 1), *(Gated(width, dilation) for dilation in (1, 2, 4, 8)), nn.Flatten(),
        nn.Linear(width * WINDOW, 32), nn.ReLU(), nn.Linear(32, 1),
    )  # fmt: skip


def pinball(said, there):
    short = there - said
    return torch.maximum(QUANTILE * short, (QUANTILE - 1) * short).mean()


def swapped(said, there):
    over = said - there
    return torch.maximum(QUANTILE * over, (QUANTILE - 1) * over).mean()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = network()
    return {
        "model": model,
        "loss": swapped if buggy else pinball,
        "train": DataLoader(TensorDataset(*windows(calls(2500, 1))), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*windows(calls(600, 2))), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 8,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = windows(calls(2000, 3))
    return 1 - (pinball(model(x), y) / pinball(y.quantile(QUANTILE), y)).item()


def setup():
    return build(True)


def fixed():
    return build(False)
