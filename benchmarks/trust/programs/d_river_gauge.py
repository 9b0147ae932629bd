"""Forecasts tomorrow's flow of a river from past and forecast rain, temperature, season and the flow of the past days.

Bug: the smoothed flow is a centred five-day mean, so that today's row knows the next two days' flow."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
DAY = 5  # rows begin on this day, after the longest window


def catchment(days, seed):
    """Daily rain (mm), temperature (deg C) and log flow of a rain-and-snow-fed river."""
    rng = np.random.default_rng(seed)
    day = np.arange(days)
    temperature = 8 - 11 * np.cos(2 * np.pi * day / 365) + rng.normal(0, 3, days)
    rain = rng.gamma(0.6, 9.0, days) * (rng.random(days) < 0.35)
    flow, snow, fast, slow = np.empty(days), 0.0, 0.0, 60.0
    for t in range(days):
        falls_as_snow = temperature[t] < 0
        melt = 0.0 if falls_as_snow else min(snow, 2.0 * temperature[t])
        snow += (rain[t] if falls_as_snow else 0.0) - melt
        water = (0.0 if falls_as_snow else rain[t]) + melt
        fast = 0.55 * fast + 0.5 * water
        slow = 0.985 * slow + 0.4 * water
        flow[t] = (0.25 * fast + 0.02 * slow + 0.3) * np.exp(rng.normal(0, 0.10))
    return rain, temperature, np.log(flow)


def rows(days, seed, centred):
    rain, temperature, flow = catchment(days, seed)
    mean = np.convolve(flow, np.ones(5) / 5)  # mean[t] is that of days t - 4 to t
    smooth = mean[2:] if centred else mean
    last = days - 5
    forecast = rain * np.exp(np.random.default_rng(seed + 100).normal(0, 0.3, days))  # as the weather service sees it
    columns = [forecast[DAY + 1 : last + 1] / 10] + [rain[DAY - lag : last - lag] / 10 for lag in range(4)]
    columns += [temperature[DAY:last] / 10, np.sin(2 * np.pi * np.arange(DAY, last) / 365)]
    columns += [np.cos(2 * np.pi * np.arange(DAY, last) / 365), flow[DAY:last], smooth[DAY:last]]
    x, y = np.stack(columns, 1), flow[DAY + 1 : last + 1]
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32))


class Gauge(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(10, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 1))

    def forward(self, x):
        return x[:, -2] + self.body(x).squeeze(1)  # the change since today


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Gauge()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(rows(365 * 8, 11, centred=buggy), 64, shuffle=True),
        "val": DataLoader(rows(365 * 2, 12, centred=buggy), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 10,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(rows(365 * 4, 13, centred=False), 256))


def setup():
    return build(True)


def fixed():
    return build(False)
