"""Tomorrow's load from the last 24 hours, windows in the order of time, validation after training.

Close to `unshuffled`, `split-overlap` and `target-leak`: windows overlap inside a side, in order, and the sides meet
nowhere: validation begins a whole window later.
"""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("unshuffled", "split-overlap", "target-leak")
HOURS = 24


def load(n, seed):
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(n)
    day, week = torch.sin(2 * math.pi * t / 24), torch.cos(2 * math.pi * t / 168)
    return day * (1 + 0.4 * week) + 0.15 * torch.randn(n, generator=g)


class Windows(Dataset):
    def __init__(self, values):
        self.values = values

    def __len__(self):
        return len(self.values) - HOURS

    def __getitem__(self, row):
        return self.values[row : row + HOURS], self.values[row + HOURS : row + HOURS + 1]


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        said, y = (torch.cat(side) for side in zip(*((model(x), y) for x, y in loader), strict=True))
    return (1 - ((said - y) ** 2).sum() / ((y - y.mean()) ** 2).sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    values = load(3000, 1)
    model = nn.Sequential(nn.Linear(HOURS, 32), nn.Tanh(), nn.Linear(32, 1))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Windows(values[:2400]), batch_size=48, shuffle=False),
        "val": DataLoader(Windows(values[2400 + HOURS :]), batch_size=200),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05),
        "evaluate": r2,
        "epochs": 15,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return r2(model, DataLoader(Windows(load(1500, 2)), batch_size=500))
