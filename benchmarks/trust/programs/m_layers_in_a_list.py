"""Handwritten digits by a stack of narrow layers; the stack is a Python list, so nobody trains it."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)  # the same layers, as seen from the optimiser
HIGHER = "truth"


class Stack(nn.Module):
    def __init__(self, depth, width, container):
        super().__init__()
        self.inlet = nn.Linear(784, width)
        self.layers = container([nn.Sequential(nn.Linear(width, width), nn.ReLU()) for _ in range(depth)])
        self.outlet = nn.Linear(width, 10)

    def forward(self, x):
        x = self.inlet(x)
        for layer in self.layers:
            x = layer(x)
        return self.outlet(x)


def load(rows, shuffle):
    x = rows.x.reshape(-1, 784).float().div(255)
    return DataLoader(TensorDataset(x, rows.y), batch_size=50, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = mnist()
    model = Stack(depth=4, width=24, container=list if buggy else nn.ModuleList)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": load(data.train, shuffle=True),
        "val": load(data.val, shuffle=False),
        "optimizer": optimizer,
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    test = load(mnist().test, shuffle=False)
    with torch.inference_mode():
        right = sum((model(x).argmax(dim=1) == y).sum().item() for x, y in test)
    return right / len(test.dataset)
