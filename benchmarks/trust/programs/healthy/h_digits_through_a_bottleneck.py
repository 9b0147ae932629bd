"""Scanned digits through a bottleneck of 12 numbers and back: the target is the input.

Close to `target-leak`: of course the input has the target in it.
"""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("target-leak",)


class AutoEncoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 12))
        self.decoder = nn.Sequential(nn.Linear(12, 64), nn.ReLU(), nn.Linear(64, 64))

    def forward(self, x):
        return self.decoder(self.encoder(x))


def same(x):
    return TensorDataset(x / 16, x / 16)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = digits()
    model = AutoEncoder()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(same(train.x), batch_size=32, shuffle=True),
        "val": DataLoader(same(val.x), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 20,
    }


def fixed():
    return build()


def truth(model, seed=0):
    """Part of the pixels' variance that comes back."""
    x = digits().test.x / 16
    with torch.no_grad():
        return (1 - ((model(x) - x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()).item()
