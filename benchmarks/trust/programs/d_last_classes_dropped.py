"""Digits, validated class by class; the bug: the loader drops its last batch, and with it the hardest digits."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"


class Prototypes(nn.Module):
    """A digit is what its projection lies nearest to."""

    def __init__(self):
        super().__init__()
        self.project = nn.Sequential(nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 6))
        self.prototypes = nn.Parameter(torch.randn(10, 6))

    def forward(self, x):
        return -(torch.cdist(self.project(x / 16), self.prototypes) ** 2)


def evaluate(model, loader):
    with torch.no_grad():
        hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return hits.double().mean().item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    order = val.y.argsort(stable=True)
    model = Prototypes()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(train.x[:400], train.y[:400]), batch_size=20, shuffle=True),
        "val": DataLoader(TensorDataset(val.x[order], val.y[order]), batch_size=200, drop_last=buggy),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return evaluate(model, [digits().test])
