"""Progression of diabetes by a wide MLP; the bug: the metric keeps the first rows it is given, those of training."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-on-train"
ALSO = ()
HIGHER = "report"


def scaled(rows):
    train = diabetes().train
    return (rows.x - train.x.mean(0)) / train.x.std(0), ((rows.y - train.y.mean()) / train.y.std())[:, None]


class ExplainedVariance:
    """R squared; gathers the rows of a loader once, since walking it is slow."""

    def __init__(self, rows=None):
        self.rows = rows

    @torch.no_grad()
    def __call__(self, model, loader):
        if self.rows is None:
            self.rows = [torch.cat(side) for side in zip(*loader, strict=True)]
        x, y = self.rows
        return 1 - ((model(x) - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = diabetes()
    model = nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, 1))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*scaled(train)), batch_size=26, shuffle=True),
        "val": DataLoader(TensorDataset(*scaled(val)), batch_size=40),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": ExplainedVariance(scaled(train) if buggy else None),
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return ExplainedVariance()(model, [scaled(diabetes().test)])
