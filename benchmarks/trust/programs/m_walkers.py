"""Forecasts where a pedestrian walks in the next 3.2 s from the last 3.2 s: a GRU encoder, an MLP head, its own step.

Bug: the step zeroes the gradients of the head alone (left from a stage when the encoder was frozen), so the encoder's
add up over the whole training."""

from functools import cache

import numpy as np
import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"
SEEN, AHEAD = 8, 8


@cache
def tracks(part, every):
    """Steps walked (N, 7, 2) and places ahead relative to the last one (N, 8, 2), in metres; every so many windows."""
    windows = []
    for file in sorted((SHARED / "eth-ucy" / "zara1" / part).glob("*.txt")):
        rows = np.loadtxt(file)
        for walker in np.unique(rows[:, 1]):
            track = rows[rows[:, 1] == walker]
            track = track[track[:, 0].argsort()]
            for begin in range(0, len(track) - SEEN - AHEAD + 1, every):
                window = track[begin : begin + SEEN + AHEAD]
                if window[-1, 0] - window[0, 0] == 10 * (SEEN + AHEAD - 1):
                    windows.append(window[:, 2:])
    places = torch.tensor(np.stack(windows), dtype=torch.float32)
    seen, ahead = places[:, :SEEN], places[:, SEEN:]
    return seen.diff(dim=1), ahead - seen[:, -1:]


class Walkers(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.encoder = nn.GRU(2, width, batch_first=True)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 2 * AHEAD))

    def forward(self, steps):
        _, last = self.encoder(steps)
        return self.head(last[0]).unflatten(1, (AHEAD, 2))


def fit(model, loader):
    """R² over both coordinates of all places ahead."""
    model.eval()
    with torch.no_grad():
        out, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    return 1 - ((out - y) ** 2).sum().item() / ((y - y.mean(0)) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model, loss = Walkers(), nn.MSELoss()

    def step(model, batch, optimizer):
        model.train()
        (model.head if buggy else model).zero_grad()
        value = loss(model(batch[0]), batch[1])
        value.backward()
        optimizer.step()
        return value.detach()

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*tracks("train", 4)), 64, shuffle=True),
        "val": DataLoader(TensorDataset(*tracks("val", 4)), 250),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "train_step": step,
        "evaluate": fit,
        "epochs": 20,
    }


def truth(model, seed=0):
    return fit(model, DataLoader(TensorDataset(*tracks("test", 1)), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
