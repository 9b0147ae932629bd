"""Learns a pump's efficiency from probes of known precision: each row's squared error counts by its inverse variance.

Bug: the weights (N,) meet errors (N, 1) and broadcast to (N, N), so every row gets the batch's mean weight."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def efficiency(x):
    """Of flow, speed, temperature and wear, each in -1..1."""
    flow, speed, heat, wear = x.unbind(1)
    best = 0.4 * speed - 0.2 * heat
    return torch.exp(-3 * (flow - best) ** 2) * (1 - 0.3 * (wear + 1)) + 0.1 * heat * speed


class Probes(Dataset):
    """Rows of (x, (measured, weight)); a third of the probes is good, the others are worn and very noisy."""

    def __init__(self, count, seed, noisy=True):
        generator = torch.Generator().manual_seed(seed)
        self.x = 2 * torch.rand(count, 4, generator=generator) - 1
        spread = torch.where(torch.rand(count, generator=generator) < 0.35, 0.05, 0.8)
        noise = spread * torch.randn(count, generator=generator) if noisy else 0.0
        self.y = (efficiency(self.x) + noise).unsqueeze(1)
        # 0.1 stands for what differs between pumps even under a perfect probe
        weight = 1 / (spread**2 + 0.1**2)
        self.weight = weight / weight.mean()

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        return self.x[row], (self.y[row], self.weight[row])


def fit(model, loader):
    """R², each row by its weight."""
    model.eval()
    with torch.no_grad():
        rows = [(model(x), y, weight[:, None]) for x, (y, weight) in loader]
    out, y, weight = (torch.cat(part) for part in zip(*rows, strict=True))
    mean = (weight * y).sum() / weight.sum()
    return 1 - ((weight * (out - y) ** 2).sum() / (weight * (y - mean) ** 2).sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)

    def loss(out, targets):
        y, weight = targets
        error = (out - y) ** 2
        return (weight * (error if buggy else error.squeeze(1))).mean()

    model = nn.Sequential(nn.Linear(4, 48), nn.Tanh(), nn.Linear(48, 48), nn.Tanh(), nn.Linear(48, 1))
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(Probes(1500, 1), 50, shuffle=True),
        "val": DataLoader(Probes(500, 2), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": fit,
        "epochs": 30,
    }


def truth(model, seed=0):
    """R² against the exact efficiency."""
    rows = Probes(1000, 3, noisy=False)
    model.eval()
    with torch.no_grad():
        error = ((model(rows.x) - rows.y) ** 2).sum()
    return 1 - (error / ((rows.y - rows.y.mean()) ** 2).sum()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
