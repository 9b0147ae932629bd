"""Predicts the photons that a telescope counts in the next bin of a flickering star's light curve.

Bug: the network ends in Softplus and so answers rates, but PoissonNLLLoss is left at its default and takes them as log rates."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"


def curves(rows=3000, bins=24):
    """Counts of stars of different brightness and period; the last bin is the target."""
    draw = torch.Generator().manual_seed(3)
    level = torch.empty(rows, 1).uniform_(0.7, 3.2, generator=draw)
    swing = torch.empty(rows, 1).uniform_(0.2, 0.7, generator=draw)
    period = torch.empty(rows, 1).uniform_(6, 14, generator=draw)
    phase = torch.empty(rows, 1).uniform_(0, 2 * math.pi, generator=draw)
    rate = torch.exp(level + swing * torch.sin(2 * math.pi * torch.arange(bins + 1) / period + phase))
    counts = torch.poisson(rate, generator=draw)
    return counts[:, :-1], counts[:, -1]


class Photometer(nn.Module):
    def __init__(self, bins=24):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(1, 24, 5, padding=2), nn.ReLU(), nn.Conv1d(24, 24, 5, padding=2), nn.ReLU(), nn.Flatten()
        )
        self.rate = nn.Sequential(nn.Linear(24 * bins, 48), nn.ReLU(), nn.Linear(48, 1), nn.Softplus())

    def forward(self, counts):
        steadied = torch.sqrt(counts + 0.375)  # Anscombe: about the same noise at every brightness
        return self.rate(self.features(steadied.unsqueeze(1))).squeeze(1)


@torch.no_grad()
def r2(model, x, y):
    model.eval()
    return (1 - ((model(x) - y) ** 2).mean() / y.var(correction=0)).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = curves()
    model = Photometer()
    return {
        "model": model,
        "loss": nn.PoissonNLLLoss() if buggy else nn.PoissonNLLLoss(log_input=False),
        "train": DataLoader(
            TensorDataset(x[:1800], y[:1800]), 32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(x[1800:2200], y[1800:2200]), 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": lambda model, loader: r2(model, *(torch.cat(t) for t in zip(*loader, strict=True))),
        "epochs": 20,
    }


def truth(model, seed=0):
    x, y = curves()
    return r2(model, x[2200:], y[2200:])


def setup():
    return build(True)


def fixed():
    return build(False)
