"""Tomorrow's bicycle rentals from the calendar, the weather and the recent past.

Bug: the rolling mean of three days takes in the day that is to be forecast (a forgotten shift)."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
NAMES = ["lag1", "lag2", "lag7", "mean3", "dry", "warm", "sin", "cos"] + [f"day{d}" for d in range(7)]


def rentals():
    g = np.random.default_rng(21)
    days = np.arange(2300)
    level = np.zeros(len(days))
    for t in range(1, len(days)):
        level[t] = 0.9 * level[t - 1] + g.normal(0, 12)
    warm = 12 + 10 * np.sin(2 * np.pi * (days - 100) / 365) + g.normal(0, 3, len(days))
    dry = (g.random(len(days)) < 0.65).astype(float)
    week = np.array([0, 5, 8, 6, 10, 35, 25])[days % 7]
    count = 220 + level + 5 * warm + week * (0.5 + 1.2 * dry) + 35 * dry + g.normal(0, 14, len(days))
    table = pd.DataFrame({"count": count, "dry": dry, "warm": warm}, index=days)
    table["sin"], table["cos"] = np.sin(2 * np.pi * days / 365), np.cos(2 * np.pi * days / 365)
    for day in range(7):
        table[f"day{day}"] = (days % 7 == day).astype(float)
    return table


def features(table, buggy):
    table = table.copy()
    for lag in (1, 2, 7):
        table[f"lag{lag}"] = table["count"].shift(lag)
    past = table["count"] if buggy else table["count"].shift(1)
    table["mean3"] = past.rolling(3).mean()
    return table.dropna()


def parts(buggy):
    table = features(rentals(), buggy)
    x, y = table[NAMES].to_numpy(np.float32), table["count"].to_numpy(np.float32)
    centre, spread, mid, wide = x[:1500].mean(0), x[:1500].std(0), y[:1500].mean(), y[:1500].std()
    x, y = torch.from_numpy((x - centre) / spread), torch.from_numpy((y - mid) / wide)
    return [TensorDataset(x[a:b], y[a:b]) for a, b in ((0, 1500), (1500, 1800), (1800, None))]


class Demand(nn.Module):
    def __init__(self):
        super().__init__()
        self.direct = nn.Linear(len(NAMES), 1)
        self.bend = nn.Sequential(nn.Linear(len(NAMES), 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x):
        return (self.direct(x) + self.bend(x)).flatten()


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(c) for c in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = parts(buggy)
    model = Demand()
    return {
        "model": model,
        "loss": nn.HuberLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=1e-4),
        "evaluate": r2,
        "epochs": 30,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """The last days, with what is known the evening before."""
    return r2(model, DataLoader(parts(False)[2], batch_size=100))
