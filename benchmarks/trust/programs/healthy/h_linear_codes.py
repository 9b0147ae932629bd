"""Wine's thirteen measures through a linear bottleneck of five: two linear layers in a row, which is what PCA is.

Close to `no-nonlinearity` and `target-leak`: the middle is narrow, so the two are not one layer, and the target is the
input.
"""

import torch
from material import wine
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("no-nonlinearity", "target-leak")


def standard(x):
    known = wine().train.x
    return (x - known.mean(0)) / known.std(0)


def build(seed=0):
    torch.manual_seed(seed)
    parts = [standard(rows.x) for rows in wine()]
    model = nn.Sequential(nn.Linear(13, 5, bias=False), nn.Linear(5, 13, bias=False))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(parts[0], parts[0]), batch_size=14, shuffle=True),
        "val": DataLoader(TensorDataset(parts[1], parts[1]), batch_size=30),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 50,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    """Part of the variance that comes back."""
    x = standard(wine().test.x)
    return (1 - ((model(x) - x) ** 2).sum() / (x**2).sum()).item()
