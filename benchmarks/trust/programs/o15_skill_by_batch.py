"""Foretells how diabetes progresses; reports its skill: one less the RMSE as a share of the targets' deviation.

Bug: the RMSE is the average of the batches' RMSEs, which is below the RMSE of all rows."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ()
HIGHER = "report"


class Scaled:
    """Standardises by the training rows."""

    def __init__(self, rows):
        self.x_mean, self.x_std = rows.x.mean(0), rows.x.std(0)
        self.y_mean, self.y_std = rows.y.mean(), rows.y.std()

    def __call__(self, rows):
        return TensorDataset((rows.x - self.x_mean) / self.x_std, (rows.y - self.y_mean)[:, None] / self.y_std)


@torch.no_grad()
def skill_by_batch(model, loader):
    model.eval()
    errors = [nn.functional.mse_loss(model(x), y).sqrt() for x, y in loader]
    return 1 - torch.stack(errors).mean().item()


@torch.no_grad()
def skill(model, loader):
    model.eval()
    squares = torch.cat([(model(x) - y).square() for x, y in loader])
    return 1 - squares.mean().sqrt().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.diabetes()
    scaled = Scaled(parts.train)
    model = nn.Sequential(nn.Linear(10, 24), nn.Tanh(), nn.Dropout(0.2), nn.Linear(24, 1))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(scaled(parts.train), 20, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(scaled(parts.val), 4),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05),
        "evaluate": skill_by_batch if buggy else skill,
        "epochs": 25,
    }


def truth(model, seed=0):
    parts = material.diabetes()
    return skill(model, DataLoader(Scaled(parts.train)(parts.test), 51))


def setup():
    return build(True)


def fixed():
    return build(False)
