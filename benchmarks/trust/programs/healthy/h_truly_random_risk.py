"""A risk whose outcomes are truly random given the measures: right labels, and a low ceiling of accuracy."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("label-noise",)


def cases(rows, seed):
    g = np.random.default_rng(seed)
    x = g.normal(size=(rows, 10))
    score = 0.9 * x[:, 0] - 0.7 * x[:, 1] + 0.6 * x[:, 2] * x[:, 3]
    y = g.random(rows) < 1 / (1 + np.exp(-score))
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(y, dtype=torch.float32))


class Risk(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return sum(((model(x) > 0) == (y > 0.5)).sum().item() for x, y in loader) / len(loader.dataset)


def build(seed=0):
    torch.manual_seed(seed)
    model = Risk()
    return {
        "model": model,
        "loss": F.binary_cross_entropy_with_logits,
        "train": DataLoader(cases(5000, 1), batch_size=64, shuffle=True),
        "val": DataLoader(cases(1000, 2), batch_size=500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 10,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return accuracy(model, DataLoader(cases(5000, 3), batch_size=1000))
