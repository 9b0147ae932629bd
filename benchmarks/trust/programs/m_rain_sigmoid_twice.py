"""Chance of rain tomorrow from a week of six weather readings (GRU); judged by the skill of its probabilities.

Bug: the network already ends in a sigmoid, and its output goes into the loss that takes logits."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"


def weeks(rows, seed):
    g = np.random.default_rng(seed)
    e = g.normal(size=(rows, 8, 6)) * 0.6
    x = np.zeros((rows, 8, 6))
    x[:, 0] = g.normal(size=(rows, 6))
    for t in range(1, 8):
        x[:, t] = 0.8 * x[:, t - 1] + e[:, t]
    fall = x[:, 6, 0] - x[:, 4, 0]
    score = -2.5 * fall + 2.2 * x[:, 6, 1] + 1.2 * np.maximum(x[:, 5:7, 2].mean(1), 0) * x[:, 6, 3] - 1.0
    rain = g.random(rows) < 1 / (1 + np.exp(-1.8 * score))
    return torch.tensor(x[:, :7], dtype=torch.float32), torch.tensor(rain, dtype=torch.float32)


class Rain(nn.Module):
    def __init__(self, squash):
        super().__init__()
        self.rnn = nn.GRU(6, 32, batch_first=True)
        self.head = nn.Linear(32, 1)
        self.squash = nn.Sigmoid() if squash else nn.Identity()

    def forward(self, x):
        _, last = self.rnn(x)
        return self.squash(self.head(last[-1])).squeeze(-1)


@torch.no_grad()
def brier_skill(model, loader):
    model.eval()
    p = torch.cat([torch.sigmoid(model(x)) for x, _ in loader])
    y = torch.cat([y for _, y in loader])
    return 1 - ((p - y) ** 2).mean().item() / ((y.mean() - y) ** 2).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Rain(squash=buggy)
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*weeks(2000, 1)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*weeks(500, 2)), batch_size=250),
        "optimizer": optimizer,
        "evaluate": brier_skill,
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return brier_skill(model, DataLoader(TensorDataset(*weeks(2000, 3)), batch_size=500))
