"""Calibrates a cheap gas sensor: concentration from 6 raw channels, rows weighted by how far the reference is trusted.

Bug: weights of shape (N,) multiply errors of shape (N, 1), which pairs every weight with every error."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


def field_campaign(rows, seed, drift=True):
    """Channels (rows, 6), and per row the reference's reading with its weight, 1 / variance: (rows, 2).

    A third of the references are mobile units with a large stated error; in the heat they read low.
    """
    rng = np.random.default_rng(seed)
    concentration = rng.gamma(2.0, 1.0, rows)
    heat, damp = rng.uniform(-1, 1, (2, rows))
    raw = np.stack(
        [
            np.sqrt(concentration) * (1 + 0.3 * heat),
            np.log1p(concentration) + 0.4 * damp,
            0.5 * concentration * (1 - 0.3 * damp),
            heat,
            damp,
            rng.normal(size=rows),
        ],
        axis=1,
    )
    raw[:, :3] += rng.normal(0, 0.1, (rows, 3))
    error = np.full(rows, 0.2)
    bias = np.zeros(rows)
    if drift:
        mobile = rng.random(rows) < 0.35
        error[mobile] = 1.5
        bias[mobile] = -1.2 * (1 + heat[mobile])
    reading = concentration + bias + error * rng.normal(size=rows)
    return raw, np.stack([reading, (0.2 / error) ** 2], axis=1)


def as_tensors(raw, readings):
    return torch.tensor(raw, dtype=torch.float32), torch.tensor(readings, dtype=torch.float32)


class WeightedSquares(nn.Module):
    def __init__(self, keep_columns):
        super().__init__()
        self.keep_columns = keep_columns

    def forward(self, guessed, targets):
        readings = targets[:, :1]
        weights = targets[:, 1:] if self.keep_columns else targets[:, 1]
        return (weights * (guessed - readings) ** 2).mean() / weights.mean()


def r2(model, loader):
    """Weighted R²: references count as far as they are trusted."""
    model.eval()
    with torch.no_grad():
        guessed, targets = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    readings, weights = targets[:, 0], targets[:, 1]
    mean = (weights * readings).sum() / weights.sum()
    missed = weights * (guessed[:, 0] - readings) ** 2
    return 1 - (missed.sum() / (weights * (readings - mean) ** 2).sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = as_tensors(*field_campaign(3000, seed=1))
    val = as_tensors(*field_campaign(800, seed=2))
    normalise = nn.BatchNorm1d(6, affine=False)
    model = nn.Sequential(normalise, nn.Linear(6, 64), nn.SiLU(), nn.Linear(64, 64), nn.SiLU(), nn.Linear(64, 1))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3)
    loader = DataLoader(
        TensorDataset(*train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed), drop_last=True
    )
    epochs = 15
    return {
        "model": model,
        "loss": WeightedSquares(keep_columns=not buggy),
        "train": loader,
        "val": DataLoader(TensorDataset(*val), 200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * len(loader)),
        "scheduler_step": "batch",
        "evaluate": r2,
        "epochs": epochs,
    }


def truth(model, seed=0):
    test = TensorDataset(*as_tensors(*field_campaign(2000, seed=3, drift=False)))  # laboratory references alone
    return r2(model, DataLoader(test, 200))


def setup():
    return build(True)


def fixed():
    return build(False)
