"""Random Fourier features: a fixed random layer and cosines, of which only the linear head is learnt (a kernel machine).

Near: frozen-parameters and optimizer-missing-parameters, as the first layer is meant to stay as it was drawn;
lr-too-high, as the squared loss of normalised features bears a plain SGD rate of 0.2."""

import math

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "lr-too-high", "init-scale", "wrong-loss")


class Fourier(nn.Module):
    """cos(Wx + b), an approximation of the Gaussian kernel of width 2.5."""

    def __init__(self, inputs, features, width=2.5):
        super().__init__()
        self.layer = nn.Linear(inputs, features)
        nn.init.normal_(self.layer.weight, std=1 / width)
        nn.init.uniform_(self.layer.bias, 0, 2 * math.pi)
        self.layer.requires_grad_(False)
        self.scale = math.sqrt(2 / features)

    def forward(self, x):
        return self.scale * torch.cos(self.layer(x))


def squared(outputs, classes):
    """Least squares on one-hot classes."""
    return (outputs - nn.functional.one_hot(classes, 10)).square().sum(1).mean()


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return torch.cat([model(x).argmax(1) == y for x, y in loader]).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = nn.Sequential(Fourier(64, 1000), nn.Linear(1000, 10))
    nn.init.zeros_(model[1].weight)
    nn.init.constant_(model[1].bias, 0.1)
    return {
        "model": model,
        "loss": squared,
        "train": DataLoader(TensorDataset(parts.train.x / 16, parts.train.y), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(parts.val.x / 16, parts.val.y), batch_size=100),
        "optimizer": torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.2),
        "evaluate": accuracy,
        "epochs": 20,
    }


def truth(model, seed=0):
    rows = digits().test
    return accuracy(model, DataLoader(TensorDataset(rows.x / 16, rows.y), batch_size=300))


def fixed():
    return build()
