"""Order of an autoregressive signal (one of five systems) from 40 samples; LSTM and momentum SGD.

Bug: `optimizer.zero_grad` is named and never called, so every step adds to the gradients of all before."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"
SYSTEMS = np.array([[0.8, 0.0], [-0.7, 0.0], [1.2, -0.7], [0.1, -0.8], [0.0, 0.75]])


def signals(rows, seed):
    g = np.random.default_rng(seed)
    y = g.integers(0, 5, rows)
    a = SYSTEMS[y]
    x = np.zeros((rows, 60))
    for t in range(2, 60):
        x[:, t] = a[:, 0] * x[:, t - 1] + a[:, 1] * x[:, t - 2] + g.normal(size=rows)
    x = x[:, 20:]
    x = x / x.std(1, keepdims=True)
    return TensorDataset(torch.tensor(x[..., None], dtype=torch.float32), torch.from_numpy(y))


class Systems(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv1d(1, 16, 4)
        self.lstm = nn.LSTM(16, 32, batch_first=True)
        self.out = nn.Linear(32, 5)

    def forward(self, x):
        h = torch.relu(self.conv(x.mT)).mT
        h, _ = self.lstm(h)
        return self.out(h.mean(1))


def buggy_step(model, batch, optimizer):
    x, y = batch
    model.train()
    optimizer.zero_grad  # noqa: B018 (the bug)
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.detach()


def fixed_step(model, batch, optimizer):
    x, y = batch
    model.train()
    optimizer.zero_grad()
    loss = F.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.detach()


def hit_rate(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Systems()
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(signals(1200, 51), batch_size=32, shuffle=True),
        "val": DataLoader(signals(400, 52), batch_size=200),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True),
        "train_step": buggy_step if buggy else fixed_step,
        "evaluate": hit_rate,
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return hit_rate(model, DataLoader(signals(1500, 53), batch_size=500))
