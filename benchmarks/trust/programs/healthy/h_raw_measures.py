"""Malignant or benign from 30 raw measures, 0.001 to 4,000; the network's first layer is a batch norm.
Near: input-scale, batch-mixing: the raw rows are of wild scales, but the batch norm standardises them before any
weight."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("input-scale", "batch-mixing")


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.standardise = nn.BatchNorm1d(30, affine=False)
        self.hidden = nn.Linear(30, 24)
        self.out = nn.Linear(24, 1)

    def forward(self, x):
        return self.out(torch.relu(self.hidden(self.standardise(x)))).squeeze(1)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([((model(x) > 0) == (y > 0.5)).float() for x, y in loader]).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = material.breast_cancer()
    model = Net()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(train.x, train.y.float()), 32, shuffle=True),
        "val": DataLoader(TensorDataset(val.x, val.y.float()), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": evaluate,
        "epochs": 20,
    }


def truth(model, seed=0):
    test = material.breast_cancer().test
    return evaluate(model, [(test.x, test.y.float())])


def fixed():
    return build()
