"""Predicts the load of a simulated building from 24 hourly temperatures and three meter readings of the next morning.

Bug: a part of the rows comes from a logger that is one record late, so they carry their neighbours' loads."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"


def houses(count, seed):
    """Hourly temperatures (N, 24), meters (N, 3), and the load that follows from them."""
    rng = np.random.default_rng(seed)
    hours = np.arange(24)
    mean, swing = rng.normal(12, 7, (count, 1)), rng.uniform(2, 9, (count, 1))
    temperature = mean + swing * np.sin((hours - 9) / 24 * 2 * np.pi) + rng.normal(0, 1, (count, 24))
    area, people, wall = rng.uniform(60, 220, count), rng.integers(1, 6, count), rng.uniform(0.2, 1.4, count)
    heating = np.maximum(18 - temperature, 0).mean(1) * wall * area / 100
    cooling = np.maximum(temperature - 24, 0).mean(1) * area / 60
    load = heating + cooling + 0.8 * people + rng.normal(0, 0.4, count)
    meters = np.stack([area, people, wall], 1)
    return temperature.astype("f4"), meters.astype("f4"), load.astype("f4")


def stack(temperature, meters):
    return torch.from_numpy(
        np.concatenate([temperature / 10 - 1.2, (meters - [140, 3, 0.8]) / [46, 1.4, 0.35]], 1)
    ).float()


MEAN, SPREAD = 8.3, 5.6


class Load(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(27, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.body(x).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    temperature, meters, load = houses(2500, 1)
    target = torch.from_numpy((load - MEAN) / SPREAD)
    x = stack(temperature, meters)
    if buggy:  # an outage: 40 % of the rows come from a logger whose clock is one record late
        late = torch.arange(0, 1000)
        target[late] = target[late].roll(1)
    train = TensorDataset(x[:2000], target[:2000])
    val = TensorDataset(x[2000:], target[2000:])
    model = Load()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3),
        "epochs": 15,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    temperature, meters, load = houses(1500, 2)
    error = model(stack(temperature, meters)) * SPREAD + MEAN - torch.from_numpy(load)
    return 1 - (error.square().mean() / load.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
