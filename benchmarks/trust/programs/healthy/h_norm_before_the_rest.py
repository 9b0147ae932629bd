"""Tumours from raw measures of 0.001 to 4,000: a BatchNorm1d is the first layer, and the last batch is dropped.

Close to `input-scale`, `batch-mixing` and `dropped-rows`: the network learns the scales itself; only training drops.
"""

import torch
from material import breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("input-scale", "batch-mixing", "dropped-rows")


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = sum(((model(x) > 0) == (y > 0.5)).sum().item() for x, y in loader)
    model.train()
    return right / sum(len(y) for _, y in loader)


def table(rows):
    return TensorDataset(rows.x, rows.y.float().unsqueeze(1))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (table(rows) for rows in breast_cancer())
    model = nn.Sequential(
        nn.BatchNorm1d(30), nn.Linear(30, 24), nn.Mish(), nn.BatchNorm1d(24), nn.Dropout(0.2), nn.Linear(24, 1)
    )
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, batch_size=24, shuffle=True, drop_last=True),
        "val": DataLoader(val, batch_size=64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": accuracy,
        "epochs": 20,
    }


def fixed() -> dict:
    return build()


def truth(model: nn.Module, seed: int = 0) -> float:
    return accuracy(model, DataLoader(table(breast_cancer().test), batch_size=64))
