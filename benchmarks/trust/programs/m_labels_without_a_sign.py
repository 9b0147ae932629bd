"""Malignant or benign, by a loss that knows -1 and 1; the labels are 0 and 1."""

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "wrong-loss"
ALSO = ()
HIGHER = "truth"


class Gated(nn.Module):
    def __init__(self, features=30, width=24):
        super().__init__()
        self.norm = nn.BatchNorm1d(features)
        self.value = nn.Linear(features, width)
        self.gate = nn.Linear(features, width)
        self.out = nn.Linear(width, 1)

    def forward(self, x):
        x = self.norm(x)
        return self.out(self.value(x) * torch.sigmoid(self.gate(x))).flatten()


def labelled(rows, signed):
    y = rows.y.float()
    return TensorDataset(rows.x, 2 * y - 1 if signed else y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = breast_cancer()
    model = Gated()
    return {
        "model": model,
        "loss": nn.SoftMarginLoss(),
        "train": DataLoader(labelled(parts.train, not buggy), batch_size=16, shuffle=True),
        "val": DataLoader(labelled(parts.val, not buggy), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """The mean of what share of the ill and of the healthy is told right."""
    x, y = breast_cancer().test
    model.eval()
    benign = model(x) > 0
    return (0.5 * (~benign[y == 0]).float().mean() + 0.5 * benign[y == 1].float().mean()).item()
