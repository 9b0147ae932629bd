"""Gradient accumulation done right: steps of four small batches, each loss divided by four, zeroed after the step."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("stale-gradients",)
EVERY = 4


def gestures(rows, seed):
    """Six gestures of a wrist in three accelerations of 50 samples, as they swing along circles, lines and eights."""
    g = np.random.default_rng(seed)
    t = np.linspace(0, 1, 50)
    y = g.integers(0, 6, rows)
    turn, f, p = g.normal(0, 0.4, rows), g.uniform(1.5, 2.5, (rows, 1)), g.uniform(0, 6.28, (rows, 1))
    s, c, d = np.sin(6.28 * f * t + p), np.cos(6.28 * f * t + p), np.sin(12.57 * f * t + 2 * p)
    o = np.zeros_like(s)
    shapes = np.stack([np.stack(k, 1) for k in ((s, c, o), (s, -c, o), (s, d, o), (s, s, o), (o, s, c), (s, o, d))])
    x = shapes[y, np.arange(rows)]
    a, b = x[:, 0].copy(), x[:, 1].copy()
    x[:, 0], x[:, 1] = (
        a * np.cos(turn)[:, None] - b * np.sin(turn)[:, None],
        a * np.sin(turn)[:, None] + b * np.cos(turn)[:, None],
    )
    return TensorDataset(torch.tensor(x + g.normal(0, 0.8, x.shape), dtype=torch.float32), torch.from_numpy(y))


class Gesture(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(3, 24, 7, padding=3),
            nn.GroupNorm(4, 24),
            nn.GELU(),
            nn.MaxPool1d(2),
            nn.Conv1d(24, 32, 5, padding=2),
            nn.GroupNorm(4, 32),
            nn.GELU(),
        )
        self.out = nn.Linear(32, 6)

    def forward(self, x):
        return self.out(self.features(x).mean(-1))


class Accumulated:
    def __init__(self):
        self.seen = 0

    def __call__(self, model, batch, optimizer):
        model.train()
        x, y = batch
        loss = F.cross_entropy(model(x), y)
        (loss / EVERY).backward()
        self.seen += 1
        if self.seen % EVERY == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss.detach()


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def build(seed=0):
    torch.manual_seed(seed)
    model = Gesture()
    return {
        "model": model,
        "loss": F.cross_entropy,
        "train": DataLoader(gestures(1920, 1), batch_size=8, shuffle=True),
        "val": DataLoader(gestures(400, 2), batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2),
        "train_step": Accumulated(),
        "evaluate": accuracy,
        "epochs": 8,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return accuracy(model, DataLoader(gestures(1500, 3), batch_size=500))
