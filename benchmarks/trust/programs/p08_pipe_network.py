"""Pressure drop between the source and the worst node of small water networks, by message passing over their pipes."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = "metric-averaging"
ALSO = ()
HIGHER = "report"

N = 10


def networks(count, seed, by_season=False):
    """Node features (count, N, 3), conductances (count, N, N), and the pressure lost at the worst node."""
    rng = np.random.default_rng(seed)
    season = np.sort(rng.random(count)) if by_season else rng.random(count)
    xs, gs, ys = [], [], []
    for s in season:
        g = np.zeros((N, N))
        for i in range(1, N):
            j = rng.integers(max(0, i - 3), i)
            g[i, j] = g[j, i] = rng.uniform(0.5, 2)
        for _ in range(3):
            i, j = rng.choice(N, 2, replace=False)
            g[i, j] = g[j, i] = rng.uniform(0.5, 2)
        demand = rng.gamma(2, 0.15, N) * (0.3 + 2.5 * s**2)
        demand[0] = 0
        laplace = np.diag(g.sum(1)) - g
        drop = np.zeros(N)
        drop[1:] = np.linalg.solve(laplace[1:, 1:], demand[1:])
        ys.append(drop.max() * (1 + 0.05 * rng.normal()))
        source = np.eye(N)[0]
        xs.append(np.stack([demand, source, g.sum(1)], 1))
        gs.append(g)
    return tuple(torch.tensor(np.array(v), dtype=torch.float32) for v in (xs, gs, ys))


def pairs(*args, **kwargs):
    x, g, y = networks(*args, **kwargs)
    return [((x[i], g[i]), y[i]) for i in range(len(y))]


class PipeGNN(nn.Module):
    def __init__(self, width=32, rounds=4):
        super().__init__()
        self.embed = nn.Linear(3, width)
        self.message = nn.ModuleList(nn.Linear(width, width) for _ in range(rounds))
        self.update = nn.ModuleList(nn.GRUCell(width, width) for _ in range(rounds))
        self.read = nn.Sequential(nn.Linear(3 * width, width), nn.ReLU(), nn.Linear(width, 1))

    def forward(self, x, g):
        b, n, _ = x.shape
        h = torch.tanh(self.embed(x))
        for message, update in zip(self.message, self.update, strict=True):
            m = g @ message(h)
            h = update(m.reshape(b * n, -1), h.reshape(b * n, -1)).view(b, n, -1)
        return self.read(torch.cat([h.sum(1), h.amax(1), h[:, 0]], 1))[:, 0]


@torch.no_grad()
def pooled(model, loader):
    """Negative root mean squared error, in bar."""
    model.eval()
    squared = [(model(*inputs) - y) ** 2 for inputs, y in loader]
    return -torch.cat(squared).mean().sqrt().item()


@torch.no_grad()
def running(model, loader):
    """Negative root mean squared error, in bar."""
    model.eval()
    total = 0.0
    for inputs, y in loader:
        total += torch.sqrt(nn.functional.mse_loss(model(*inputs), y)).item()
    return -total / len(loader)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = PipeGNN()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(pairs(1500, 1), batch_size=50, shuffle=True),
        "val": DataLoader(pairs(480, 2, by_season=True), batch_size=32),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": running if buggy else pooled,
        "epochs": 15,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return pooled(model, DataLoader(pairs(1500, 3), batch_size=250))
