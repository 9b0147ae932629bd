"""Kind of fault in a pump from two seconds of vibration; four kinds, some of them rare.

Bug: the weights of the sampler are the counts of the classes instead of one over them."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"
SHARES = (0.7, 0.14, 0.1, 0.06)


def recordings(rows, shares, seed):
    g = np.random.default_rng(seed)
    t = np.arange(96) / 48
    y = g.choice(4, rows, p=shares)
    f, phase = g.uniform(3.5, 4.5, (rows, 1)), g.uniform(0, 2 * np.pi, (rows, 1))
    x = np.sin(2 * np.pi * f * t + phase)
    x += (y == 1)[:, None] * 0.6 * np.sin(4 * np.pi * f * t + g.uniform(0, 6, (rows, 1)))  # misaligned: twice the speed
    x *= 1 + (y == 2)[:, None] * 0.7 * np.sin(2 * np.pi * 0.8 * t + g.uniform(0, 6, (rows, 1)))  # loose: swells
    knocks = (np.abs((t * 2.3 + g.uniform(0, 1, (rows, 1))) % 1) < 0.08) * g.choice([-1, 1], (rows, 96)) * 0.9
    x += (y == 3)[:, None] * knocks  # bearing
    x += g.normal(0, 0.45, x.shape)
    return torch.tensor(x, dtype=torch.float32)[:, None], torch.from_numpy(y)


class Pump(nn.Module):
    def __init__(self):
        super().__init__()

        def conv(a, b):
            return nn.Sequential(nn.Conv1d(a, b, 7, 2, 3, bias=False), nn.BatchNorm1d(b), nn.ReLU())

        self.features = nn.Sequential(conv(1, 16), conv(16, 24), conv(24, 32))
        self.classify = nn.Linear(64, 4)

    def forward(self, x):
        h = self.features(x)
        return self.classify(torch.cat([h.mean(2), h.amax(2)], 1))


def mean_recall(model, loader):
    model.eval()
    right, seen = torch.zeros(4), torch.zeros(4)
    with torch.no_grad():
        for x, y in loader:
            hit = model(x).argmax(1) == y
            right += torch.bincount(y[hit], minlength=4)
            seen += torch.bincount(y, minlength=4)
    return (right / seen).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = recordings(1600, SHARES, 4)
    counts = torch.bincount(y, minlength=4).double()
    weights = counts[y] if buggy else (1 / counts)[y]
    sampler = WeightedRandomSampler(weights, len(y))
    model = Pump()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x, y), batch_size=32, sampler=sampler),
        "val": DataLoader(TensorDataset(*recordings(400, SHARES, 5)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": mean_recall,
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return mean_recall(model, DataLoader(TensorDataset(*recordings(1200, SHARES, 6)), batch_size=200))
