"""Scanned digits, all 900 rows in one batch: a step an epoch.

Close to `lr-too-low`, `unshuffled` and `lr-too-high`: few steps, a high rate, and nothing to shuffle.
"""

import itertools

import torch
from material import digits
from torch import nn

BUG = None
NEAR = ("lr-too-low", "unshuffled")


class MLP(nn.Module):
    def __init__(self, sizes=(64, 80, 40, 10)):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in itertools.pairwise(sizes))

    def forward(self, x):
        for layer in self.layers[:-1]:
            x = layer(x).relu()
        return self.layers[-1](x)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = digits()
    model = MLP()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": [(train.x / 16, train.y)],
        "val": [(val.x / 16, val.y)],
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 150,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    test = digits().test
    return (model(test.x / 16).argmax(1) == test.y).float().mean().item()
