"""Distance and its uncertainty from four echo strengths of a sonar: a Gaussian likelihood with a learned variance.

Bug: the mean and log variance are columns (N, 1) and the distances are (N,), so that the likelihood pairs every row with every other."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def echoes(count, seed):
    """Four echo strengths in decibels, a water temperature, and the distance in metres, 1 to 20."""
    g = torch.Generator().manual_seed(seed)
    distance = 1 + 19 * torch.rand(count, generator=g)
    temperature = 5 + 20 * torch.rand(count, generator=g)
    absorbed = (0.2 + 0.03 * temperature) * distance
    angles = torch.tensor([0.0, 0.3, 0.6, 0.9])
    clean = -20 * torch.log10(distance)[:, None] - absorbed[:, None] + 6 * torch.cos(angles + distance[:, None] / 3)
    noise = (0.3 + 0.08 * distance)[:, None] * torch.randn(count, 4, generator=g)
    x = torch.cat([(clean + noise + 20) / 10, (temperature[:, None] - 15) / 6], 1)
    return x, (distance - 10.5) / 5.5


class Ranger(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(5, 64), nn.Tanh(), nn.Linear(64, 64), nn.Tanh())
        self.mean = nn.Linear(64, 1)
        self.log_variance = nn.Linear(64, 1)

    def forward(self, x):
        hidden = self.body(x)
        return self.mean(hidden), self.log_variance(hidden).clamp(-8, 4)


def likelihood(outputs, distance):
    mean, log_variance = outputs
    return 0.5 * (log_variance + (distance - mean) ** 2 * torch.exp(-log_variance) + math.log(2 * math.pi)).mean()


def rows(count, seed, column=True):
    x, y = echoes(count, seed)
    return TensorDataset(x, y[:, None] if column else y)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[0].flatten(), y.flatten()) for x, y in loader]
    guess, y = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    return (1 - ((guess - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Ranger()
    train = rows(3000, 1, column=not buggy)
    val = rows(800, 2, column=not buggy)
    return {
        "model": model,
        "loss": likelihood,
        "train": DataLoader(train, 60, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(rows(2000, 3), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
