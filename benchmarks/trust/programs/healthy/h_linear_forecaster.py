"""Forecasts a day of river levels from five days, with DLinear: one linear map for the trend and one for the rest.

Near: there is no activation on purpose (linear maps rival Transformers here); neighbouring training windows share
hours, but a whole window's gap lies before validation; the last input is subtracted and added back inside the model."""

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("no-nonlinearity", "split-overlap", "target-leak", "time-leak")

PAST, AHEAD = 120, 24


def levels(hours=9000):
    rng = np.random.default_rng(8)
    hour = np.arange(hours)
    tide = np.sin(2 * np.pi * hour / 12.42) + 0.4 * np.sin(2 * np.pi * hour / 24 + 0.5)
    flow = np.zeros(hours)
    rain = rng.exponential(1.0, hours) * (rng.random(hours) < 0.02)
    for step in range(1, hours):
        flow[step] = 0.97 * flow[step - 1] + 0.8 * rain[step]
    return (3 + tide + flow + rng.normal(0, 0.15, hours)).astype(np.float32)


def parts():
    """Train, val and test windows, each a window's length apart from the next; scaled by the training hours."""
    series = levels()
    scaled = torch.from_numpy((series - series[:6000].mean()) / series[:6000].std())
    gap = PAST + AHEAD
    cuts = (scaled[:6000], scaled[6000 + gap : 7400], scaled[7400 + gap :])
    windows = (cut.unfold(0, PAST + AHEAD, stride) for cut, stride in zip(cuts, (3, 6, 3), strict=True))
    return [TensorDataset(rows[:, :PAST].clone(), rows[:, PAST:].clone()) for rows in windows]


class DLinear(nn.Module):
    def __init__(self, kernel=25):
        super().__init__()
        self.kernel = kernel
        self.trend, self.rest = nn.Linear(PAST, AHEAD), nn.Linear(PAST, AHEAD)

    def forward(self, past):
        last = past[:, -1:]
        past = past - last
        around = F.pad(past[:, None], (self.kernel // 2, self.kernel // 2), mode="replicate")
        smooth = F.avg_pool1d(around, self.kernel, stride=1)[:, 0]  # within the past alone
        return self.trend(smooth) + self.rest(past - smooth) + last


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        guessed, true = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((guessed - true).square().mean() / true.var()).item()


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = parts()
    model = DLinear()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, 32, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(parts()[2], 128))


def fixed():
    return build()
