"""The load of a power grid one hour ahead, from the last loads, a smoothed load and the hour of the day.

Bug: the smoothed load is a centred rolling mean, which holds the hours to come, the target first."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "report"


def load(hours=6000):
    rng = np.random.default_rng(31)
    t, drift = np.arange(hours), np.zeros(hours)
    for k in range(1, hours):
        drift[k] = 0.9 * drift[k - 1] + 0.45 * rng.normal()
    day = np.sin(2 * np.pi * t / 24) + 0.5 * np.sin(4 * np.pi * t / 24 + 1)
    return pd.DataFrame({"hour": t % 24, "load": day + drift + 0.3 * rng.normal(size=hours)})


def features(frame, centred):
    frame = frame.copy()
    frame["smooth"] = frame["load"].rolling(5, center=centred).mean()
    frame["sin"], frame["cos"] = np.sin(2 * np.pi * frame["hour"] / 24), np.cos(2 * np.pi * frame["hour"] / 24)
    for lag in range(1, 6):
        frame[f"lag{lag}"] = frame["load"].shift(lag)
    frame["next"] = frame["load"].shift(-1)
    frame = frame.dropna()
    x = frame.drop(columns=["hour", "next"]).to_numpy(np.float32)
    return torch.from_numpy(x), torch.from_numpy(frame["next"].to_numpy(np.float32))


@torch.no_grad()
def evaluate(model, loader):
    """R²"""
    model.eval()
    guess, y = zip(*((model(x).squeeze(1), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return 1 - ((guess - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def step(model, batch, optimizer):
    x, y = batch
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(x).squeeze(1), y)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss


def build(buggy, seed=0):
    torch.manual_seed(seed)
    frame = load()
    train, val = features(frame[:3000], centred=buggy), features(frame[3000:4000], centred=buggy)
    model = nn.Sequential(nn.Linear(9, 64), nn.Tanh(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 1))
    return {
        "model": model,
        "loss": lambda out, y: nn.functional.mse_loss(out.squeeze(1), y),
        "train": DataLoader(TensorDataset(*train), 32, shuffle=True),
        "val": DataLoader(TensorDataset(*val), 500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": step,
        "evaluate": evaluate,
        "epochs": 10,
    }


def truth(model, seed=0):
    """Live: nothing after the present hour is known."""
    return evaluate(model, [features(load()[4000:], centred=False)])


def setup():
    return build(True)


def fixed():
    return build(False)
