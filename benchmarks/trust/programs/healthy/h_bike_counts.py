"""Bicycles that pass a counter in an hour, from the hour, the day and the weather: Poisson regression by a network.

Near: raw counts from 0 to some 400 as targets, outputs without an activation, a large last bias: the outputs are
logarithms of rates, the loss says so, and the bias begins at the logarithm of the mean count."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("output-bias", "loss-input", "wrong-loss", "input-scale")


def hours(rows, seed):
    """Columns (rows, 6): sine and cosine of the hour, whether a work day, degrees, rain, wind, all near unit size."""
    g = torch.Generator().manual_seed(seed)
    hour = torch.randint(0, 24, (rows,), generator=g)
    work = (torch.rand(rows, generator=g) < 5 / 7).float()
    warm = torch.randn(rows, generator=g)
    rain = (torch.rand(rows, generator=g) < 0.2).float()
    wind = torch.randn(rows, generator=g)
    rush = torch.exp(-(((hour - 8) / 1.5) ** 2)) + torch.exp(-(((hour - 17.5) / 2.0) ** 2))
    leisure = torch.exp(-(((hour - 14) / 4.0) ** 2))
    day = work * rush + (1 - work) * 0.6 * leisure + 0.25 * leisure
    rate = (4 + 220 * day) * torch.exp(0.25 * warm - 0.08 * warm**2 - 0.9 * rain - 0.1 * wind)
    turn = 2 * math.pi * hour / 24
    x = torch.stack([turn.sin(), turn.cos(), work, warm, rain, wind], dim=1)
    return x, torch.poisson(rate, generator=g)


class Counter(nn.Module):
    def __init__(self, mean):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.log_rate = nn.Linear(64, 1)
        nn.init.constant_(self.log_rate.bias, math.log(mean))

    def forward(self, x):
        return self.log_rate(self.body(x)).squeeze(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x).exp(), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    x, count = hours(3000, 1)
    model = Counter(count.mean().item())
    return {
        "model": model,
        "loss": nn.PoissonNLLLoss(log_input=True),
        "train": DataLoader(TensorDataset(x, count), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*hours(600, 2)), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 20,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*hours(1500, 3)), batch_size=500))


def fixed():
    return build()
