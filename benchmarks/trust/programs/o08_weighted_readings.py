"""Fits a curve to readings of two instruments, one ten times as noisy; squared errors are weighed by 1 / variance.

Bug: errors of shape (N,) are multiplied by weights of shape (N, 1), so that every error meets every weight."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def curve(x):
    return torch.sin(2 * x[:, 0]) + 0.5 * x[:, 1] * torch.cos(3 * x[:, 0]) + 0.3 * x[:, 2].square()


def readings(rows, seed, noisy=True):
    """x (N, 3); targets (N, 2): the reading and its instrument's deviation."""
    draw = torch.Generator().manual_seed(seed)
    x = 3 * torch.rand(rows, 3, generator=draw) - 1.5
    sigma = torch.where(torch.rand(rows, generator=draw) < 0.6, 1.5, 0.15)
    y = curve(x) + (sigma * torch.randn(rows, generator=draw) if noisy else 0)
    return x, torch.stack([y, sigma], dim=1)


def weighted_loss(outputs, targets):
    error = (outputs - targets[:, 0]).square()
    weight = 0.04 / targets[:, 1].square()
    return (weight * error).mean()


def weighted_loss_wide(outputs, targets):
    error = (outputs - targets[:, 0]).square()
    weight = 0.04 / targets[:, 1:].square()
    return (weight * error).mean()


class Curve(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(3, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Curve()
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": weighted_loss_wide if buggy else weighted_loss,
        "train": DataLoader(TensorDataset(*readings(1200, 0)), 50, shuffle=True, generator=order),
        "val": DataLoader(TensorDataset(*readings(300, 1)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 40,
    }


def truth(model, seed=0):
    x, targets = readings(1000, 2, noisy=False)
    model.eval()
    with torch.no_grad():
        out = model(x)
    y = targets[:, 0]
    return (1 - (out - y).square().sum() / (y - y.mean()).square().sum()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
