"""Fuel burnt on a delivery tour from eight readings of the van, a small residual network.

Bug: the readings are divided by the largest of the whole table rather than by the largest of each column."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


def tours(rows, seed):
    g = np.random.default_rng(seed)
    weight = g.normal(2600, 400, rows)  # kg
    odometer = g.uniform(5e3, 2.5e5, rows)  # km
    slope = g.uniform(0, 0.08, rows)  # mean grade
    stops = g.integers(0, 40, rows)
    speed = g.uniform(20, 110, rows)  # km/h
    pressure = g.normal(3.2, 0.3, rows)  # bar
    wind = g.normal(0, 6, rows)  # m/s against
    cold = g.uniform(0, 1, rows)  # share of the tour with a cold engine
    fuel = (weight / 1000) * (1 + 18 * slope) + 0.07 * stops + ((speed + 2 * wind) / 60) ** 2
    fuel = fuel + 1.5 * cold + 1.2 * (3.4 - pressure) + odometer / 4e5 + g.normal(0, 0.3, rows)
    return (
        np.stack([weight, odometer, slope, stops, speed, pressure, wind, cold], 1).astype(np.float32),
        fuel.astype(np.float32),
    )


def scaler(x, buggy):
    top = np.abs(x).max() if buggy else np.abs(x).max(axis=0)
    return lambda rows: rows / top


class Residual(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm, self.first, self.second = nn.LayerNorm(width), nn.Linear(width, width), nn.Linear(width, width)

    def forward(self, x):
        return x + self.second(F.silu(self.first(self.norm(x))))


class Fuel(nn.Module):
    def __init__(self, mean, spread, width=48):
        super().__init__()
        self.enter, self.blocks, self.leave = (
            nn.Linear(8, width),
            nn.Sequential(Residual(width), Residual(width)),
            nn.Linear(width, 1),
        )
        self.register_buffer("mean", torch.tensor(mean))
        self.register_buffer("spread", torch.tensor(spread))

    def forward(self, x):
        return self.mean + self.spread * self.leave(self.blocks(self.enter(x)))[:, 0]


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, wanted = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=False))
    return (1 - F.mse_loss(found, wanted) / wanted.var(unbiased=False)).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = tours(2400, 3)
    scale = scaler(x[:2000], buggy)
    model = Fuel(float(y[:2000].mean()), float(y[:2000].std()))
    model.scale = scale
    rows = TensorDataset(torch.from_numpy(scale(x)), torch.from_numpy(y))
    train, val = torch.utils.data.Subset(rows, range(2000)), torch.utils.data.Subset(rows, range(2000, 2400))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    epochs = 15
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs, eta_min=1e-4),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": epochs,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = tours(1000, 77)
    rows = TensorDataset(torch.from_numpy(model.scale(x)), torch.from_numpy(y))
    return r2(model, DataLoader(rows, batch_size=500))
