"""Foretells where a damped pendulum will be, with an uncertainty of its own for every start (Gaussian likelihood).

Bug: each row's negative log likelihood is clamped at 0 "because a loss can't be negative"; a density's may well be."""

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ()
HIGHER = "truth"


def swings(rows=2600):
    """Angle, speed, damping and length at the start; the angle 1.5 s later in half turns, with a sensor's noise."""
    rng = np.random.default_rng(5)
    angle, speed = rng.uniform(-2, 2, rows), rng.uniform(-2, 2, rows)
    damping, length = rng.uniform(0.05, 0.6, rows), rng.uniform(0.7, 1.5, rows)
    start = np.stack([angle, speed, damping, length], 1)
    for _ in range(300):
        speed = speed - 0.005 * (9.81 / length * np.sin(angle) + damping * speed)
        angle = angle + 0.005 * speed
    angle = (angle + rng.normal(0, 0.05, rows)) / math.pi
    return torch.tensor(start, dtype=torch.float32), torch.tensor(angle, dtype=torch.float32)


class Oracle(nn.Module):
    def __init__(self, x):
        super().__init__()
        self.register_buffer("mean", x.mean(0))
        self.register_buffer("std", x.std(0))
        self.body = nn.Sequential(nn.Linear(4, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU())
        self.where, self.log_variance = nn.Linear(64, 1), nn.Linear(64, 1)

    def forward(self, start):
        x = self.body((start - self.mean) / self.std)
        return torch.cat([self.where(x), self.log_variance(x).clamp(-8, 4)], 1)


@torch.no_grad()
def r2(model, x, y):
    model.eval()
    return (1 - ((model(x)[:, 0] - y) ** 2).mean() / y.var(correction=0)).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = swings()

    def loss(outputs, targets):
        mean, log_variance = outputs.unbind(1)
        nll = 0.5 * (math.log(2 * math.pi) + log_variance + (targets - mean) ** 2 * torch.exp(-log_variance))
        return nll.clamp(min=0).mean() if buggy else nll.mean()

    model = Oracle(x[:1600])
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(x[:1600], y[:1600]), 32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(x[1600:2000], y[1600:2000]), 200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9),
        "scheduler_step": "epoch",
        "evaluate": lambda model, loader: r2(model, *(torch.cat(t) for t in zip(*loader, strict=True))),
        "epochs": 25,
    }


def truth(model, seed=0):
    x, y = swings()
    return r2(model, x[2000:], y[2000:])


def setup():
    return build(True)


def fixed():
    return build(False)
