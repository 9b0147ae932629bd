"""How restless a market will be in the next 24 steps, from the last 48; a convolution over sliding windows.

Bug: the windows are split at random, so each window of the validation set overlaps neighbours in the training set."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
PAST, AHEAD = 48, 24


def market(steps=9000):
    """Returns whose spread wanders slowly."""
    rng = np.random.default_rng(17)
    spread = np.zeros(steps)
    for t in range(1, steps):
        spread[t] = 0.985 * spread[t - 1] + 0.13 * rng.normal()
    return torch.tensor(np.exp(spread) * rng.normal(size=steps), dtype=torch.float32)


def windows(returns):
    """log|r| of the past; the log of the mean |r| of what comes."""
    size = returns.abs().unfold(0, PAST + AHEAD, 1)
    return torch.log(size[:, :PAST] + 0.05)[:, None], torch.log(size[:, PAST:].mean(1))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.ReLU()
        )
        self.head = nn.Sequential(nn.Linear(32 * 24, 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, x):
        return self.head(self.body(x).flatten(1)).squeeze(1)


@torch.no_grad()
def evaluate(model, loader):
    """R²"""
    model.eval()
    guess, y = zip(*((model(x), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return 1 - ((guess - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = windows(market()[:3000])
    if buggy:
        order = torch.from_numpy(np.random.default_rng(2).permutation(len(x)))
        train, val = order[700:], order[:700]
    else:
        train, val = torch.arange(0, len(x) - 700 - PAST - AHEAD), torch.arange(len(x) - 700, len(x))
    model = Net()
    return {
        "model": model,
        "loss": nn.HuberLoss(),
        "train": DataLoader(TensorDataset(x[train], y[train]), 32, shuffle=True),
        "val": DataLoader(TensorDataset(x[val], y[val]), 350),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    return evaluate(model, [windows(market()[3200:])])


def setup():
    return build(True)


def fixed():
    return build(False)
