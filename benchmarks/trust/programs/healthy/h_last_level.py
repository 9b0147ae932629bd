"""The level of a river six hours on, from the last day of levels and rain; windows slide hour by hour, the
validation comes later.
Near: target-leak, split-overlap: the last level is nearly the target, yet it is known at that hour; windows overlap
in the training set
only, and a gap of a window lies before the validation."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("target-leak", "split-overlap")
PAST, AHEAD = 24, 6


def river(hours=7000):
    rng = np.random.default_rng(61)
    rain = rng.gamma(0.6, 1.0, hours) * (rng.random(hours) < 0.12)
    soil, level = np.zeros(hours), np.full(hours, 1.0)
    for t in range(1, hours):
        soil[t] = 0.94 * soil[t - 1] + rain[t]
        level[t] = 0.985 * level[t - 1] + 0.015 + 0.03 * soil[t - 1] * min(soil[t - 1], 3) + 0.01 * rng.normal()
    return torch.tensor(np.stack([level, rain], 1), dtype=torch.float32)


class Windows(Dataset):
    def __init__(self, series, mean, std):
        self.series = (series - mean) / std

    def __len__(self):
        return len(self.series) - PAST - AHEAD + 1

    def __getitem__(self, row):
        return self.series[row : row + PAST], self.series[row + PAST + AHEAD - 1, 0]


class Forecast(nn.Module):
    """Says how much the level will depart from the last one."""

    def __init__(self):
        super().__init__()
        self.gru, self.head = nn.GRU(2, 32, batch_first=True), nn.Linear(32, 1)

    def forward(self, x):
        _, state = self.gru(x)
        return x[:, -1, 0] + self.head(state[-1]).squeeze(1)


@torch.no_grad()
def evaluate(model, loader):
    """R²"""
    model.eval()
    guess, y = zip(*((model(x), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return 1 - ((guess - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def build(seed=0):
    torch.manual_seed(seed)
    series = river()
    train, val = series[:3500], series[3500 + PAST + AHEAD : 4500]
    mean, std = train.mean(0), train.std(0)
    model = Forecast()
    model.register_buffer("mean", mean)
    model.register_buffer("std", std)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Windows(train, mean, std), 64, shuffle=True),
        "val": DataLoader(Windows(val, mean, std), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Windows(river()[4600:], model.mean, model.std), 500))


def fixed():
    return build()
