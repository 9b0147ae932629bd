"""Forecasts a chaotic series (Mackey-Glass) eight steps on with an echo state network: a fixed random reservoir, a trained readout.

Near: frozen-parameters and optimizer-missing-parameters, since the reservoir's 10,000 weights are never trained, on purpose;
lr-too-high, since the readout alone is convex and stands 1e-2; gradient-cut, since the states are computed without gradients."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut", "init-scale")
WASH, LENGTH, AHEAD = 30, 80, 8


def mackey_glass(steps, seed):
    rng = np.random.default_rng(seed)
    x = np.full(steps * 6 + 3000, 1.1) + 0.1 * rng.normal(size=steps * 6 + 3000)
    for t in range(170, len(x) - 1):
        x[t + 1] = x[t] + 0.1 * (0.2 * x[t - 170] / (1 + x[t - 170] ** 10) - 0.1 * x[t])
    return torch.tensor((x[3000::6] - 0.93) / 0.22, dtype=torch.float32)


def windows(steps, seed, stride):
    """Series (N, 80, 1) and what follows eight steps after each of the last 50 (N, 50)."""
    every = mackey_glass(steps, seed).unfold(0, LENGTH + AHEAD, stride)
    return TensorDataset(every[:, :LENGTH, None].clone(), every[:, WASH + AHEAD :].clone())


class EchoState(nn.Module):
    def __init__(self, size=100):
        super().__init__()
        inner = torch.randn(size, size)
        inner *= 0.9 / torch.linalg.eigvals(inner).abs().max()  # the echo state property
        self.inner = nn.Parameter(inner, requires_grad=False)
        self.outer = nn.Parameter(torch.rand(size, 1) - 0.5, requires_grad=False)
        self.readout = nn.Linear(size + 1, 1)

    def forward(self, series):
        state, states = torch.zeros(len(series), len(self.inner)), []
        with torch.no_grad():
            for value in series.unbind(1):
                state = 0.5 * state + 0.5 * torch.tanh(state @ self.inner.T + value @ self.outer.T)
                states.append(torch.cat([state, value], 1))
        return self.readout(torch.stack(states[WASH:], 1)).squeeze(2)


@torch.no_grad()
def r2(model, loader):
    model.eval()
    said, there = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((said - there).square().mean() / there.var()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = EchoState()
    optimizer = torch.optim.Adam(model.readout.parameters(), lr=1e-2)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(windows(2000, 1, 4), batch_size=32, shuffle=True),
        "val": DataLoader(windows(600, 2, 8), batch_size=64),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=15),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(windows(1200, 3, 8), batch_size=128))


def fixed():
    return build()
