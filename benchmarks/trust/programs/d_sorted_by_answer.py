"""Progression of diabetes from a file sorted by it; the bug: the file's order is the order of training."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"
x_mean, x_std = diabetes().train.x.mean(0), diabetes().train.x.std(0)


def table(rows, by_answer=False):
    order = rows.y.argsort() if by_answer else slice(None)
    return TensorDataset(((rows.x - x_mean) / x_std)[order], rows.y[order, None] / 100)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = diabetes()
    model = nn.Sequential(nn.Linear(10, 24), nn.SiLU(), nn.Linear(24, 1))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(table(train, by_answer=True), batch_size=10, shuffle=not buggy),
        "val": DataLoader(table(val), batch_size=80),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.8),
        "epochs": 12,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = table(diabetes().test).tensors
    return 1 - ((model(x) - y).pow(2).sum() / (y - y.mean()).pow(2).sum()).item()
