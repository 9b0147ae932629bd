"""Finds the second at which a wave arrives in a seismogram: convolutions and a soft argmax over time.

The catalogue's traces are cut around the arrival, so that training cuts its windows at random starts.
Bug: the arrival is not moved with the start of the window."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-misaligned",)
HIGHER = "truth"
RATE, WINDOW, TRACE = 50, 192, 320  # samples a second, samples of a window and of a stored trace
SPARE = TRACE - WINDOW


def traces(rows, seed):
    """Traces (rows, TRACE) of coloured noise and a damped wave, and the sample of its arrival, near the middle."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(size=(rows, TRACE + 2))
    noise = (noise[:, 2:] + noise[:, 1:-1] + noise[:, :-2]) / 3**0.5
    arrival = np.clip(rng.normal(TRACE / 2, 6, rows), SPARE + 8, WINDOW - 8).round()
    time = np.arange(TRACE)[None] - arrival[:, None]
    strength = rng.uniform(3, 9, (rows, 1))
    decay, pitch = rng.uniform(15, 50, (rows, 1)), rng.uniform(0.25, 0.9, (rows, 1))
    wave = np.where(time >= 0, strength * np.exp(-time.clip(0) / decay) * np.sin(pitch * time + 0.6), 0)
    return torch.tensor(noise + wave, dtype=torch.float32), torch.tensor(arrival, dtype=torch.float32)


class Windows(Dataset):
    """Standardised windows (1, WINDOW) with the arrival in seconds from the window's start.

    Without `moving`, a row's start is drawn once and kept."""

    def __init__(self, rows, seed, moving, follow=True):
        self.trace, self.arrival = traces(rows, seed)
        self.moving, self.follow = moving, follow
        self.start = torch.randint(0, SPARE + 1, (rows,), generator=torch.Generator().manual_seed(seed))

    def __len__(self):
        return len(self.trace)

    def __getitem__(self, row):
        start = int(torch.randint(0, SPARE + 1, ())) if self.moving else int(self.start[row])
        window = self.trace[row, start : start + WINDOW]
        arrival = self.arrival[row] - (start if self.follow else SPARE // 2)
        return ((window - window.mean()) / window.std())[None], arrival / RATE


class Picker(nn.Module):
    def __init__(self):
        super().__init__()
        self.score = nn.Sequential(
            nn.Conv1d(1, 16, 9, padding=4),
            nn.ReLU(),
            nn.Conv1d(16, 16, 9, padding=4),
            nn.ReLU(),
            nn.Conv1d(16, 16, 9, padding=8, dilation=2),
            nn.ReLU(),
            nn.Conv1d(16, 1, 1),
        )
        self.register_buffer("time", torch.arange(WINDOW) / RATE)

    def forward(self, x):
        return (self.score(x).squeeze(1).softmax(1) * self.time).sum(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Picker()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(beta=0.1),
        "train": DataLoader(Windows(800, 1, moving=True, follow=not buggy), batch_size=32, shuffle=True),
        "val": DataLoader(Windows(200, 2, moving=False), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 8,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(Windows(500, 3, moving=False), batch_size=250))


def setup():
    return build(True)


def fixed():
    return build(False)
