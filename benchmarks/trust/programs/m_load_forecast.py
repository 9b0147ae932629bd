"""Forecasts the next hour of a load at every step, trend and remainder apart (Autoformer's decomposition block).

Bug: the moving average that makes the trend is centred, so a step's trend is computed from hours yet to come."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ("target-leak",)
HIGHER = "truth"

LENGTH = 72


def load_series(hours, seed):
    """Daily shape, a wandering level and short-lived noise; the noise is what makes the next hour hard."""
    rng = np.random.default_rng(seed)
    hour = np.arange(hours)
    daily = np.sin(2 * np.pi * hour / 24) + 0.5 * np.sin(4 * np.pi * hour / 24 + 1.0)
    level, noise = np.zeros(hours), np.zeros(hours)
    shocks = rng.normal(size=(hours, 2))
    for step in range(1, hours):
        level[step] = 0.995 * level[step - 1] + 0.08 * shocks[step, 0]
        noise[step] = 0.5 * noise[step - 1] + 0.5 * shocks[step, 1]
    return (50 + 10 * (daily * (1 + 0.3 * np.tanh(level)) + level + noise)).astype(np.float32)


def windows(series, mean, std, stride):
    """Inputs (N, LENGTH) and the same hours one later."""
    scaled = torch.from_numpy((series - mean) / std)
    cut = scaled.unfold(0, LENGTH + 1, stride)
    return TensorDataset(cut[:, :-1].contiguous(), cut[:, 1:].contiguous())


class Decomposition(nn.Module):
    """Splits (N, C, T) into a moving average and what remains."""

    def __init__(self, kernel, centred):
        super().__init__()
        self.pad = ((kernel - 1) // 2, kernel // 2) if centred else (kernel - 1, 0)
        self.average = nn.AvgPool1d(kernel, stride=1)

    def forward(self, x):
        trend = self.average(F.pad(x, self.pad, mode="replicate"))
        return trend, x - trend


class CausalConv(nn.Conv1d):
    def forward(self, x):
        return super().forward(F.pad(x, (self.dilation[0] * (self.kernel_size[0] - 1), 0)))


class LoadForecaster(nn.Module):
    def __init__(self, centred, width=32):
        super().__init__()
        self.decompose = Decomposition(13, centred)
        self.layers = nn.Sequential(
            CausalConv(2, width, 4),
            nn.ReLU(),
            CausalConv(width, width, 4, dilation=4),
            nn.ReLU(),
            CausalConv(width, width, 3, dilation=12),
            nn.ReLU(),
            nn.Conv1d(width, 1, 1),
        )

    def forward(self, x):
        trend, rest = self.decompose(x[:, None])
        change = self.layers(torch.cat([trend, rest], dim=1))
        return (trend + change)[:, 0]


def r2(model, loader):
    """Of the forecasts of the last quarter of each window, where every layer has its full history."""
    model.eval()
    with torch.no_grad():
        guessed, true = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    guessed, true = guessed[:, -LENGTH // 4 :], true[:, -LENGTH // 4 :]
    return 1 - ((guessed - true).square().mean() / true.var()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    series = load_series(9000, seed=1)
    known = series[:7000]
    mean, std = known.mean(), known.std()
    model = LoadForecaster(centred=buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(
            windows(known, mean, std, stride=8), 32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(windows(series[7000:], mean, std, stride=LENGTH // 4), 64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 15,
        "causal": True,
    }


def truth(model, seed=0):
    """R² of the hour after each window, when nothing later is known: the forecast that is really wanted."""
    known = load_series(9000, seed=1)[:7000]
    x, y = windows(load_series(6000, seed=2), known.mean(), known.std(), stride=5).tensors
    model.eval()
    with torch.no_grad():
        guessed = model(x)[:, -1]
    return 1 - ((guessed - y[:, -1]).square().mean() / y[:, -1].var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
