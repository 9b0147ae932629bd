"""Predicts the next hour's rentals of a simulated bike station from the last 24 hours, the weather and the calendar.

Bug: the exponential moving average among the features already contains the hour that is to be predicted."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "report"
HISTORY = 24


def station(days, seed):
    rng = np.random.default_rng(seed)
    hours = np.arange(days * 24)
    day, week = hours % 24, hours // 24 % 7
    rush = np.exp(-0.5 * ((day - 8) / 1.5) ** 2) + 1.2 * np.exp(-0.5 * ((day - 17.5) / 2) ** 2)
    rain = np.repeat(rng.uniform(0, 1, days * 4) < 0.25, 6)
    rate = (0.3 + np.where(week < 5, 1.0, 0.4) * rush) * np.where(rain, 0.5, 1.0)
    drift = np.zeros(len(hours))
    for hour in range(1, len(hours)):
        drift[hour] = 0.8 * drift[hour - 1] + rng.normal(0, 0.18)
    return 2 * rate * np.exp(drift) * rng.gamma(8, 1 / 8, len(hours)), rain, hours


def smoothed(values, span):
    """Exponential moving average; entry t contains values[t]."""
    kept, answer = values[0], np.empty_like(values)
    for place, value in enumerate(values):
        kept += 2 / (span + 1) * (value - kept)
        answer[place] = kept
    return answer


def features(days, seed, leaky):
    rentals, rain, hours = station(days, seed)
    logs = np.log1p(rentals)
    trend = smoothed(logs, 6)
    targets = np.arange(HISTORY, len(logs))
    past = np.stack([logs[t - HISTORY : t] for t in targets])
    average = trend[targets] if leaky else trend[targets - 1]
    angles = 2 * np.pi * hours[targets] / 24
    calendar = np.stack([np.sin(angles), np.cos(angles), hours[targets] // 24 % 7 < 5, rain[targets]], 1)
    x = np.concatenate([past, average[:, None], calendar], 1)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(logs[targets], dtype=torch.float32)


def r2(prediction, target):
    return 1 - ((prediction - target).square().mean() / target.var()).item()


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    pairs = [(model(x), y) for x, y in loader]
    return r2(*(torch.cat(part) for part in zip(*pairs, strict=True)))


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(29, affine=False)
        self.body = nn.Sequential(nn.Linear(29, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU())
        self.head = nn.Linear(64, 1)

    def forward(self, x):
        return self.head(self.body(self.norm(x))).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = features(150, 11, buggy)
    cut = 120 * 24
    model = Forecaster()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(beta=0.5),
        "train": DataLoader(TensorDataset(x[:cut], y[:cut]), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(x[cut + HISTORY :], y[cut + HISTORY :]), batch_size=256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 12,
    }


@torch.no_grad()
def truth(model, seed=0):
    """What the station would see: the average ends with the hour before."""
    model.eval()
    x, y = features(100, 12, leaky=False)
    return r2(model(x), y)


def setup():
    return build(True)


def fixed():
    return build(False)
