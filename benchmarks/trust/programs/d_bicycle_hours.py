"""Predicts how many bicycles of a hire scheme are out, from weather and the hour of the day (as sine and cosine).

Bug: the hour goes into sine and cosine without being divided by 24, so whole hours all give 0 and 1."""

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-input"
ALSO = ()
HIGHER = "truth"


def records(rows=3600):
    """Hour 0..23, temperature, wind and rain, and the bicycles out at that time."""
    rng = np.random.default_rng(11)
    hour = rng.integers(0, 24, rows)
    temperature = rng.normal(14, 7, rows) + 3 * np.sin(2 * math.pi * (hour - 9) / 24)
    wind = rng.gamma(3, 4, rows)
    rain = (rng.random(rows) < 0.2) * rng.exponential(2, rows)
    rush = 90 * np.exp(-(((hour - 8) / 1.5) ** 2)) + 110 * np.exp(-(((hour - 17) / 2) ** 2))
    day = 50 * np.clip(np.sin(math.pi * (hour - 5) / 18), 0, None)
    weather = np.clip(1 + 0.03 * (temperature - 14), 0.2, 1.8) * np.exp(-0.25 * rain) * np.exp(-0.01 * wind)
    bicycles = (20 + rush + day) * weather + rng.normal(0, 10, rows)
    return hour, np.stack([temperature, wind, rain], 1).astype(np.float32), bicycles.astype(np.float32)


def clock(hour, period):
    angle = 2 * math.pi * hour / period
    return np.stack([np.sin(angle), np.cos(angle)], 1).astype(np.float32)


PARTS = {"train": slice(0, 2200), "val": slice(2200, 2700), "test": slice(2700, None)}


def prepared(part, period):
    hour, weather, bicycles = records()
    known = PARTS["train"]
    weather = (weather - weather[known].mean(0)) / weather[known].std(0)
    bicycles = (bicycles - bicycles[known].mean()) / bicycles[known].std()
    x = np.concatenate([clock(hour, period), weather], 1)
    return torch.from_numpy(x[PARTS[part]]), torch.from_numpy(bicycles[PARTS[part]])


def r2(model, x, y):
    model.eval()
    with torch.no_grad():
        return 1 - ((model(x).squeeze(1) - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    period = 1 if buggy else 24
    train, val = (TensorDataset(*prepared(part, period)) for part in ("train", "val"))
    model = nn.Sequential(nn.Linear(5, 64), nn.GELU(), nn.Linear(64, 64), nn.GELU(), nn.Linear(64, 1))
    model.period = period  # how this model's inputs are made
    return {
        "model": model,
        "loss": lambda outputs, targets: nn.functional.mse_loss(outputs.squeeze(1), targets),
        "train": DataLoader(train, 32, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 256),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3),
        "evaluate": lambda model, loader: r2(model, *(torch.cat(t) for t in zip(*loader, strict=True))),
        "epochs": 20,
    }


def truth(model, seed=0):
    return r2(model, *prepared("test", model.period))


def setup():
    return build(True)


def fixed():
    return build(False)
