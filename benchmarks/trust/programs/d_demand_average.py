"""Forecasts a town's electricity demand for the next hour from lags, a rolling average and the time of day.

Bug: the rolling average of three hours ends at the hour to be forecast, where it should end at the hour before."""

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
LAGS = (1, 2, 3, 24, 168)


def series(hours=5200):
    rng = np.random.default_rng(7)
    t = np.arange(hours)
    daily = 14 * np.sin(2 * math.pi * (t - 8) / 24) + 6 * np.sin(4 * math.pi * (t - 5) / 24)
    weekly = np.where((t // 24) % 7 >= 5, -9.0, 0.0)
    weather = np.zeros(hours)
    for hour in range(1, hours):
        weather[hour] = 0.85 * weather[hour - 1] + rng.normal(0, 5)
    return 90 + daily + weekly + weather + rng.normal(0, 2, hours)


def table(demand, leading):
    """One row an hour; `leading` hours of the average's window lie at or after the row's own hour."""
    average = np.convolve(demand, np.ones(3) / 3)  # average[t] covers t-2 .. t
    rows = np.arange(168, len(demand))
    columns = [demand[rows - lag] for lag in LAGS] + [average[rows - 1 + leading]]
    clock = [f(2 * math.pi * rows / period) for period in (24, 168) for f in (np.sin, np.cos)]
    x = torch.tensor(np.stack(columns + clock, 1), dtype=torch.float32)
    return x, torch.tensor(demand[rows], dtype=torch.float32).unsqueeze(1)


class Forecaster(nn.Module):
    """Scales inputs and output by the training hours, so that it takes and answers megawatts."""

    def __init__(self, x, y):
        super().__init__()
        for name, value in (("x_mean", x.mean(0)), ("x_std", x.std(0)), ("y_mean", y.mean()), ("y_std", y.std())):
            self.register_buffer(name, value)
        self.net = nn.Sequential(nn.Linear(x.shape[1], 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))

    def forward(self, x):
        return self.net((x - self.x_mean) / self.x_std) * self.y_std + self.y_mean


def r2(model, x, y):
    model.eval()
    with torch.no_grad():
        return 1 - ((model(x) - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def evaluate(model, loader):
    return r2(model, *(torch.cat(t) for t in zip(*loader, strict=True)))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = table(series(), leading=1 if buggy else 0)
    train, val = slice(0, 3200), slice(3200, 4000)
    model = Forecaster(x[train], y[train])
    spread = y[train].var().item()
    return {
        "model": model,
        "loss": lambda outputs, targets: nn.functional.mse_loss(outputs, targets) / spread,
        "train": DataLoader(
            TensorDataset(x[train], y[train]), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(x[val], y[val]), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 15,
    }


def truth(model, seed=0):
    """On the last thousand hours, with what is known before each hour."""
    x, y = table(series(), leading=0)
    return r2(model, x[4000:], y[4000:])


def setup():
    return build(True)


def fixed():
    return build(False)
