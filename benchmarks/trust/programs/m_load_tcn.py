"""Grid operator's load forecaster: a TCN reads hours 1..t of standardised load and predicts the hour after each.

Bug: the second dilated convolution is padded on both sides, so that hour t's forecast sees hours after t.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "report"
HOURS = 72


def load_curves(count, seed):
    """Standardised hourly load (count, HOURS + 1): a daily cycle of each region's own phase, and weather that wanders."""
    g = torch.Generator().manual_seed(seed)
    hours = torch.arange(HOURS + 1)
    phase, size = torch.rand(count, 1, generator=g) * 24, 0.5 + torch.rand(count, 1, generator=g)
    cycle = size * torch.sin(2 * torch.pi * (hours + phase) / 24)
    weather = torch.zeros(count, HOURS + 1)
    shocks = torch.randn(count, HOURS + 1, generator=g)
    weather[:, 0] = shocks[:, 0]
    for hour in range(1, HOURS + 1):
        weather[:, hour] = 0.8 * weather[:, hour - 1] + 0.6 * shocks[:, hour]
    return (cycle + 0.8 * weather) / 1.08


class Dilated(nn.Module):
    def __init__(self, channels, dilation, both_sides=False):
        super().__init__()
        self.conv = nn.Conv1d(channels, channels, 3, dilation=dilation)
        self.pad = (dilation, dilation) if both_sides else (2 * dilation, 0)
        self.mix = nn.Conv1d(channels, channels, 1)

    def forward(self, x):
        return x + self.mix(torch.relu(self.conv(F.pad(x, self.pad))))


class TCN(nn.Module):
    """Load (batch, hours) to the forecast of the hour after each (batch, hours)."""

    def __init__(self, channels=24, both_sides=False):
        super().__init__()
        self.lift = nn.Conv1d(1, channels, 1)
        self.blocks = nn.Sequential(
            Dilated(channels, 1),
            Dilated(channels, 2, both_sides),
            Dilated(channels, 4),
            Dilated(channels, 8),
        )
        self.out = nn.Conv1d(channels, 1, 1)

    def forward(self, load):
        return self.out(self.blocks(self.lift(load[:, None])))[:, 0]


def windows(count, seed):
    curves = load_curves(count, seed)
    return TensorDataset(curves[:, :-1], curves[:, 1:])


def r2(forecasts, observed):
    return 1 - ((forecasts - observed) ** 2).sum().item() / ((observed - observed.mean()) ** 2).sum().item()


@torch.no_grad()
def skill(model, loader):
    model.eval()
    pairs = [(model(x)[:, 24:], y[:, 24:]) for x, y in loader]
    return r2(torch.cat([p for p, _ in pairs]), torch.cat([y for _, y in pairs]))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = TCN(both_sides=buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(
            windows(400, 1), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(windows(150, 2), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": skill,
        "epochs": 10,
        "causal": True,
    }


@torch.no_grad()
def truth(model, seed=0):
    """As in service: only the hours so far are there, and the last forecast is used."""
    model.eval()
    curves = load_curves(300, 3)
    hours = range(25, HOURS + 1, 3)
    forecasts = torch.stack([model(curves[:, :hour])[:, -1] for hour in hours], 1)
    return r2(forecasts, curves[:, list(hours)])


def setup():
    return build(True)


def fixed():
    return build(False)
