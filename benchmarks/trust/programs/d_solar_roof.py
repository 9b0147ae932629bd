"""Predicts what a simulated solar roof yields from the time stamp, the clouds and the temperature.

Bug: the stamps are cut to days before the hour is taken from them, so the two features of the hour never change."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


def log_book(count, seed):
    """Stamps in minutes of three years, clouds 0..1, temperatures, and kilowatts."""
    rng = np.random.default_rng(seed)
    stamps = np.datetime64("2021-01-01T00:00", "m") + rng.integers(0, 3 * 365 * 1440, count)
    hour, day = parts_of(stamps)
    declination = -0.41 * np.cos(2 * np.pi * (day + 10) / 365)
    height = np.sin(0.9) * np.sin(declination) + np.cos(0.9) * np.cos(declination) * np.cos((hour - 12) / 12 * np.pi)
    clouds = rng.beta(0.8, 0.8, count)
    warmth = (
        10 - 9 * np.cos(2 * np.pi * (day - 15) / 365) + 4 * np.maximum(height, 0) - 3 * clouds + rng.normal(0, 4, count)
    )
    power = 5 * np.maximum(height, 0) ** 1.1 * (1 - 0.75 * clouds**1.5) * (1 - 0.004 * (warmth - 20))
    return stamps, clouds, warmth, power + rng.normal(0, 0.08, count)


def parts_of(stamps):
    """Hour of the day and day of the year, both with their fractions."""
    days, years = stamps.astype("datetime64[D]"), stamps.astype("datetime64[Y]")
    hour = (stamps - days) / np.timedelta64(1, "h")
    return hour, (days - years.astype("datetime64[D]")) / np.timedelta64(1, "D")


def features(stamps, clouds, warmth):
    hour, day = parts_of(stamps)
    a, b = 2 * np.pi * hour / 24, 2 * np.pi * day / 365
    columns = [np.sin(a), np.cos(a), np.sin(b), np.cos(b), 2 * clouds - 1, (warmth - 10) / 9]
    return torch.tensor(np.stack(columns, 1), dtype=torch.float32)


def read(count, seed, unit):
    stamps, clouds, warmth, power = log_book(count, seed)
    stamps = stamps.astype(f"datetime64[{unit}]").astype("datetime64[m]")
    return features(stamps, clouds, warmth), torch.tensor(power, dtype=torch.float32).unsqueeze(1)


@torch.no_grad()
def r2(model, loader):
    model.eval()
    said, y = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((said - y).square().mean() / y.var()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    unit = "D" if buggy else "m"
    model = nn.Sequential(nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*read(3000, 1, unit)), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*read(600, 2, unit)), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 16,
    }


def truth(model, seed=0):
    """On stamps as the roof will send them."""
    return r2(model, DataLoader(TensorDataset(*read(1500, 3, "m")), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
