"""Progression of diabetes: three quantiles would be nice, the median must do; pinball loss on a small MLP.

Bug: the network answers (B, 1), the targets are (B,), and their difference is a table of B by B."""

import numpy as np
import torch
from sklearn.datasets import load_diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def patients():
    table = load_diabetes(scaled=False)
    order = np.random.default_rng(2).permutation(len(table.target))
    x, y = table.data[order], table.target[order]
    x = (x - x[:260].mean(0)) / x[:260].std(0)
    y = (y - y[:260].mean()) / y[:260].std()
    x, y = torch.from_numpy(x).float(), torch.from_numpy(y).float()
    return TensorDataset(x[:260], y[:260]), TensorDataset(x[260:330], y[260:330]), TensorDataset(x[330:], y[330:])


class Median(nn.Module):
    def __init__(self, flat):
        super().__init__()
        self.flat = flat
        self.a, self.b, self.out = nn.Linear(10, 24), nn.Linear(24, 24), nn.Linear(24, 1)
        self.drop = nn.Dropout(0.2)

    def forward(self, x):
        h = torch.relu(self.a(x))
        h = self.drop(torch.relu(self.b(h)))
        out = self.out(h)
        return out.squeeze(1) if self.flat else out


def pinball(outputs, targets, q=0.5):
    error = targets - outputs
    return torch.maximum(q * error, (q - 1) * error).mean()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = patients()
    model = Median(flat=not buggy)
    return {
        "model": model,
        "loss": pinball,
        "train": DataLoader(train, batch_size=20, shuffle=True),
        "val": DataLoader(val, batch_size=70),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-3),
        "epochs": 60,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """Share of the variance that the guesses explain."""
    model.eval()
    x, y = patients()[2].tensors
    return (1 - (model(x).flatten() - y).square().mean() / y.var()).item()
