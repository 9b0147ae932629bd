"""The next value of a seasonal series from twelve; the bug: the window is cut a step late and ends with the target."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
STEPS = 12


def series(n, seed):
    """Two seasons and an autoregressive rest, about unit variance."""
    rng = np.random.default_rng(seed)
    rest = np.zeros(n)
    for t in range(1, n):
        rest[t] = 0.6 * rest[t - 1] + 0.3 * rng.normal()
    t = np.arange(n)
    return torch.tensor(np.sin(2 * np.pi * t / 7) + 0.7 * np.cos(2 * np.pi * t / 11) + rest, dtype=torch.float32)


def windows(values, late=False):
    every = values.unfold(0, STEPS + 1, 1)
    x = every[:, 1:] if late else every[:, :-1]
    return TensorDataset(x.unsqueeze(2), every[:, -1:])


class Forecaster(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(1, 24, batch_first=True)
        self.out = nn.Linear(24, 1)

    def forward(self, x):  # (B, T, 1)
        _, last = self.rnn(x)
        return self.out(last[0])


def r2(model, loader):
    with torch.no_grad():
        outputs, y = (torch.cat(side) for side in zip(*[(model(x), y) for x, y in loader], strict=True))
    return 1 - (torch.sum((outputs - y) ** 2) / torch.sum((y - y.mean()) ** 2)).item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    values = series(1300, seed=1)
    model = Forecaster()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(windows(values[:1000], late=buggy), batch_size=32, shuffle=True),
        "val": DataLoader(windows(values[1000:], late=buggy), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": r2,
        "epochs": 12,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return r2(model, DataLoader(windows(series(600, seed=2)), batch_size=100))
