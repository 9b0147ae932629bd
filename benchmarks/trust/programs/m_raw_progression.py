"""Diabetes progression in its own units, 25 to 346, from a head that begins at zero and learns in small steps."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "output-bias"
ALSO = ()
HIGHER = "truth"


class Regressor(nn.Module):
    def __init__(self, typical=None):
        super().__init__()
        self.hidden = nn.Linear(10, 64)
        self.out = nn.Linear(64, 1)
        nn.init.zeros_(self.out.bias)
        if typical is not None:
            nn.init.constant_(self.out.bias, typical)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(x)))[:, 0]


def scale(x, like):
    return (x - like.mean(0)) / like.std(0)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = diabetes()
    x, y = parts.train
    model = Regressor() if buggy else Regressor(typical=y.mean().item())
    return {
        "model": model,
        "loss": nn.L1Loss(),
        "train": DataLoader(TensorDataset(scale(x, x), y), batch_size=13, shuffle=True),
        "val": DataLoader(TensorDataset(scale(parts.val.x, x), parts.val.y), batch_size=40),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """R^2: 1 is perfect, 0 what the mean would get."""
    parts = diabetes()
    x, y = scale(parts.test.x, parts.train.x), parts.test.y
    return (1 - (model(x) - y).square().sum() / (y - y.mean()).square().sum()).item()
