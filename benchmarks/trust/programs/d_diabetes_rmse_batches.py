"""Progression of diabetes, scored by RMSE against the mean's; the bug: roots of batches of two rows are averaged."""

import torch
from material import diabetes
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ()
HIGHER = "report"
STATS = diabetes().train
SPREAD = STATS.y.std()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.BatchNorm1d(10)
        self.layers = nn.Sequential(nn.Linear(10, 16), nn.GELU(), nn.Linear(16, 1))

    def forward(self, x):
        return STATS.y.mean() + SPREAD * self.layers(self.norm(x)).squeeze(-1)


def loss(outputs, y):
    return nn.functional.mse_loss(outputs / SPREAD, y / SPREAD)


def rmse_gain(model, loader):
    """1 - RMSE / spread of the answers: 0 is what the mean gets, 1 is perfect."""
    model.eval()
    with torch.no_grad():
        errors = torch.cat([(model(x) - y) ** 2 for x, y in loader])
    return 1 - (errors.mean().sqrt() / SPREAD).item()


def rmse_gain_by_batch(model, loader):
    model.eval()
    with torch.no_grad():
        roots = [((model(x) - y) ** 2).mean().sqrt() for x, y in loader]
    return 1 - (torch.stack(roots).mean() / SPREAD).item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = diabetes()
    model = Net()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*train), batch_size=26, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=2),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": rmse_gain_by_batch if buggy else rmse_gain,
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    return rmse_gain(model, DataLoader(TensorDataset(*diabetes().test), batch_size=2))
