"""Predicts a car's braking distance and its spread from speed, slope, tyres and wet, by Gaussian likelihood (Softplus MLP).

Bug: distances (N,) meet means (N, 1) in the likelihood, which compares every car with every other."""

import math

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def tests(count, seed):
    """Speed, slope, tread and wet in about -1.7..1.7; distances standardised by round numbers."""
    g = torch.Generator().manual_seed(seed)
    speed = 5 + 30 * torch.rand(count, generator=g)
    slope = 0.05 * torch.randn(count, generator=g)
    tread = 1 + 7 * torch.rand(count, generator=g)
    wet = (torch.rand(count, generator=g) < 0.4).float()
    grip = 0.85 - 0.3 * wet * (1 - tread / 9)
    distance = speed * 0.9 + speed.square() / (2 * 9.81 * (grip + slope))
    distance = distance * (1 + (0.04 + 0.08 * wet) * torch.randn(count, generator=g))
    x = torch.stack([(speed - 20) / 8.7, slope / 0.05, (tread - 4.5) / 2, 2 * wet - 1], 1)
    return x, (distance - 55) / 38


class Braking(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(4, 48), nn.Softplus(), nn.Linear(48, 48), nn.Softplus())
        self.mean, self.spread = nn.Linear(48, 1), nn.Linear(48, 1)

    def forward(self, x):
        hidden = self.body(x)
        return self.mean(hidden), F.softplus(self.spread(hidden)) + 0.02


def build(buggy, seed=0):
    torch.manual_seed(seed)

    def likelihood(outputs, distances):
        mean, spread = outputs
        if not buggy:
            distances = distances.unsqueeze(1)
        return (((distances - mean) / spread).square() / 2 + spread.log()).mean() + math.log(2 * math.pi) / 2

    model = Braking()
    return {
        "model": model,
        "loss": likelihood,
        "train": DataLoader(TensorDataset(*tests(2000, 1)), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*tests(400, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 16,
    }


@torch.no_grad()
def truth(model, seed=0):
    """R² of the means."""
    model.eval()
    x, y = tests(1000, 3)
    return 1 - ((model(x)[0].squeeze(1) - y).square().mean() / y.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
