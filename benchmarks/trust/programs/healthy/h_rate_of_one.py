"""Scanned digits by plain SGD with a rate of 1: high, and stable with BatchNorm.

Close to `lr-too-high`: a layer before BatchNorm does not mind its scale, so that the step has room.
"""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("lr-too-high",)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x / 16, r.y) for r in digits())
    model = nn.Sequential(
        nn.Linear(64, 64, bias=False),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 64, bias=False),
        nn.BatchNorm1d(64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=1.0),
        "epochs": 12,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    test = digits().test
    return (model.eval()(test.x / 16).argmax(1) == test.y).float().mean().item()
