"""Demand of a town's grid at a given time and temperature: the time of day and of week go in as sines and cosines.

Bug: the hour's angle is made of the whole days passed rather than of the part of the day, so its sine and cosine stand still."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"

DAY, WEEK = 86_400, 7 * 86_400


def readings():
    """Two years of half-hourly times (seconds), temperatures and demands; every third reading arrives."""
    rng = np.random.default_rng(31)
    time = np.arange(0, 2 * 364 * DAY, 1800)
    hour, day = time % DAY / 3600, time // DAY
    season = np.cos(2 * np.pi * (day - 15) / 364)
    drift = np.zeros(day[-1] + 1)
    for k in range(1, len(drift)):
        drift[k] = 0.8 * drift[k - 1] + rng.normal(0, 1.5)
    warmth = 11 - 9 * season + drift[day] + 4 * np.sin(2 * np.pi * (hour - 9) / 24) + rng.normal(0, 0.5, len(time))
    weekend = day % 7 >= 5
    morning, evening = np.exp(-((hour - 8) ** 2) / 5), np.exp(-((hour - 19) ** 2) / 8)
    demand = 50 + (18 - 10 * weekend) * morning + 22 * evening - 12 * np.exp(-((hour - 3.5) ** 2) / 8)
    demand = (
        demand + 0.9 * np.maximum(0, 15 - warmth) + 1.1 * np.maximum(0, warmth - 22) + rng.normal(0, 2.5, len(time))
    )
    return time[::3], warmth[::3], demand[::3]


def columns(time, warmth, buggy):
    hour = time // DAY if buggy else time % DAY / DAY
    week = time % WEEK // DAY / 7
    angles = [2 * np.pi * hour, 4 * np.pi * hour, 2 * np.pi * week, 4 * np.pi * week]
    waves = [wave(angle) for angle in angles for wave in (np.sin, np.cos)]
    return torch.tensor(np.column_stack([(warmth - 11) / 8, *waves]), dtype=torch.float32)


def tables(buggy):
    time, warmth, demand = readings()
    x = columns(time, warmth, buggy)
    order = np.random.default_rng(1).permutation(time[-1] // WEEK + 1)[time // WEEK]  # whole weeks to each part
    parts = (order < 62), (order >= 62) & (order < 78), (order >= 78)
    mean, deviation = demand[parts[0]].mean(), demand[parts[0]].std()
    y = torch.tensor((demand - mean) / deviation, dtype=torch.float32).unsqueeze(1)
    return [(x[part], y[part]) for part in parts]


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.inner(x)


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = tables(buggy)
    model = nn.Sequential(nn.Linear(9, 32), Residual(32), Residual(32), nn.LayerNorm(32), nn.Linear(32, 1))
    epochs = 6
    loader = DataLoader(TensorDataset(*train), batch_size=128, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader)),
        "scheduler_step": "batch",
        "train": loader,
        "val": DataLoader(TensorDataset(*val), batch_size=500),
        "evaluate": r_squared,
        "epochs": epochs,
    }


def truth(model, seed=0):
    return r_squared(model, [tables(False)[2]])


def setup():
    return build(True)


def fixed():
    return build(False)
