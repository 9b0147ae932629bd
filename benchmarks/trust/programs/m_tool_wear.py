"""Wear of tools from their load history: the network says a mean and a spread for each, taught by the Gaussian likelihood.

Bug: the wears come as (N,) and the means as (N, 1), so their difference is an N by N table of every pair."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def histories(count, seed):
    """Forty cuts of a tool, each with force and heat; wear grows faster with heat, and is measured worse when it is great."""
    rng = np.random.default_rng(seed)
    force = np.abs(rng.normal(1, 0.3, (count, 40)) + rng.normal(0, 0.4, (count, 1)))
    heat = 0.6 * force + np.abs(rng.normal(0.5, 0.4, (count, 1))) + rng.normal(0, 0.1, (count, 40))
    wear = (force * np.exp(0.5 * heat)).mean(1)
    wear = wear + rng.normal(0, 1, count) * (0.05 + 0.06 * wear)
    x = np.stack([force, heat], 2)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(wear, dtype=torch.float32)


class Wear(nn.Module):
    """An LSTM over the cuts; its last state gives the mean and the log variance."""

    def __init__(self, width=32):
        super().__init__()
        self.recur = nn.LSTM(2, width, batch_first=True)
        self.mean = nn.Linear(width, 1)
        self.spread = nn.Linear(width, 1)

    def forward(self, cuts):
        _, (state, _) = self.recur(cuts)
        return self.mean(state[-1]), self.spread(state[-1])


def likelihood(outputs, wear):
    mean, spread = outputs
    return 0.5 * (spread + (wear - mean) ** 2 * torch.exp(-spread)).mean()


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[0].flatten(), y.flatten()) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def tables(buggy):
    parts = [histories(count, seed) for count, seed in ((1500, 41), (400, 42), (1000, 43))]
    middle, scale = parts[0][0].mean((0, 1)), parts[0][0].std((0, 1))
    mean, deviation = parts[0][1].mean(), parts[0][1].std()
    parts = [((x - middle) / scale, (y - mean) / deviation) for x, y in parts]
    return parts if buggy else [(x, y.unsqueeze(1)) for x, y in parts]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = tables(buggy)
    model = Wear()
    return {
        "model": model,
        "loss": likelihood,
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "train": DataLoader(TensorDataset(*train), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=200),
        "evaluate": r_squared,
        "epochs": 8,
    }


def truth(model, seed=0):
    return r_squared(model, [tables(False)[2]])


def setup():
    return build(True)


def fixed():
    return build(False)
