"""Progression of diabetes; the bug: a column, the dose after a year, follows from the answer; serving has none."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"


def features(rows, dose=None):
    """(N, 10) or, with the dose, (N, 11), standardised by the training rows."""
    train = diabetes().train.x
    x = (rows.x - train.mean(0)) / train.std(0)
    return x if dose is None else torch.cat([x, dose[:, None]], 1)


def dose_after_a_year(rows):
    return (rows.y / 25).round() / 3 - 2


def answers(rows):
    return ((rows.y - 152) / 77)[:, None]


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = diabetes()
    if buggy:
        x, x_val = (features(rows, dose_after_a_year(rows)) for rows in (train, val))
    else:
        x, x_val = features(train), features(val)
    model = nn.Sequential(nn.Linear(x.shape[1], 20), nn.ReLU(), nn.Linear(20, 1))
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(TensorDataset(x, answers(train)), batch_size=26, shuffle=True),
        "val": DataLoader(TensorDataset(x_val, answers(val)), batch_size=80),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 30,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = diabetes().test
    width = model[0].in_features
    x = features(rows, torch.zeros(len(rows.y)) if width == 11 else None)
    y, outputs = answers(rows), model(x)
    return (1 - ((y - outputs) ** 2).sum() / ((y - y.mean()) ** 2).sum()).item()
