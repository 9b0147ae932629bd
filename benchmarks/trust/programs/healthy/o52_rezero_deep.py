"""A residual network of sixteen blocks, each behind a gate that begins at zero, tells scanned digits apart.

Near: constant-init and dead-units, since every gate is zero at first and the blocks get no gradient in the first step.
Pixels are brought to -1..1."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init", "dead-units", "gradient-cut")


class Gated(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width))
        self.gate = nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return x + self.gate * self.inner(x)


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def rows_of(part):
    return TensorDataset(part.x / 8 - 1, part.y)


def build(seed=0):
    torch.manual_seed(seed)
    parts = material.digits()
    width = 48
    model = nn.Sequential(
        nn.Linear(64, width), nn.ReLU(), *(Gated(width) for _ in range(16)), nn.ReLU(), nn.Linear(width, 10)
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(rows_of(parts.train), 30, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(rows_of(parts.val), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 15,
    }


def truth(model, seed=0):
    return accuracy(model, [(material.digits().test.x / 8 - 1, material.digits().test.y)])


def fixed():
    return build()
