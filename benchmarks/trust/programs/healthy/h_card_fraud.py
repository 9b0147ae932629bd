"""Fraud among card payments, 4 % of them: a weighted loss and average precision, as befits a rare class."""

import numpy as np
import torch
from sklearn.metrics import average_precision_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("class-imbalance",)


def payments(rows, seed):
    g = np.random.default_rng(seed)
    fraud = g.random(rows) < 0.04
    x = g.normal(size=(rows, 14))
    x[fraud, 0] += 1.8
    x[fraud, 1] -= 1.2
    x[fraud, 2:4] = x[fraud, 2:3] * 0.9 + 0.45 * g.normal(size=(fraud.sum(), 2))
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(fraud, dtype=torch.float32))


class Fraud(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(14, 64),
            nn.LeakyReLU(0.1),
            nn.Dropout(0.2),
            nn.Linear(64, 32),
            nn.LeakyReLU(0.1),
            nn.Linear(32, 1),
        )

    def forward(self, x):
        return self.layers(x).flatten()


@torch.no_grad()
def precision(model, loader):
    model.eval()
    scores = torch.cat([model(x) for x, _ in loader])
    return float(average_precision_score(torch.cat([y for _, y in loader]).numpy(), scores.numpy()))


def build(seed=0):
    torch.manual_seed(seed)
    train = payments(8000, 1)
    y = train.tensors[1]
    model = Fraud()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(pos_weight=((y == 0).sum() / (y == 1).sum()).sqrt()),
        "train": DataLoader(train, batch_size=128, shuffle=True),
        "val": DataLoader(payments(2500, 2), batch_size=500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=1e-4),
        "evaluate": precision,
        "epochs": 12,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return precision(model, DataLoader(payments(8000, 3), batch_size=2000))
