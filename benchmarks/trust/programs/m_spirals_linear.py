"""Three spirals are told apart by five layers, and nobody put an activation between them."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "no-nonlinearity"
ALSO = ()
HIGHER = "truth"


def spirals(rows, seed):
    g = torch.Generator().manual_seed(seed)
    arm = torch.randint(0, 3, (rows,), generator=g)
    t = torch.rand(rows, generator=g)
    angle = 4.5 * t + 2 * math.pi / 3 * arm
    points = torch.stack([t * torch.sin(angle), t * torch.cos(angle)], 1)
    return points + 0.03 * torch.randn(rows, 2, generator=g), arm


class Net(nn.Module):
    def __init__(self, width=48, depth=4, activation=None):
        super().__init__()
        self.first = nn.Linear(2, width)
        self.middle = nn.ModuleList([nn.Linear(width, width) for _ in range(depth)])
        self.last = nn.Linear(width, 3)
        self.activation = activation

    def forward(self, x):
        x = self.first(x)
        for layer in self.middle:
            x = layer(x)
            if self.activation is not None:
                x = self.activation(x)
        return self.last(x)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Net() if buggy else Net(activation=torch.tanh)
    train = TensorDataset(*spirals(1200, seed=1))
    val = TensorDataset(*spirals(400, seed=2))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 50, shuffle=True),
        "val": DataLoader(val, 400),
        "optimizer": torch.optim.Adam(model.parameters(), 3e-3),
        "epochs": 25,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    points, arm = spirals(2000, seed=3)
    return (model.eval()(points).argmax(1) == arm).float().mean().item()
