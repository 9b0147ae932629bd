"""Finds ectopic heart beats, 2 in 100, in two leads of 32 samples; an MLP, judged by the F1 of the ectopic beats.

Bug: F1 is computed in each batch and averaged, and a batch without an ectopic beat counts as a perfect one."""

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ("metric-wrong",)
HIGHER = "report"


def beats(rows, seed):
    """(rows, 32, 2) of millivolts and whether a beat is ectopic: wider, with a weak first wave and an inverted last."""
    rng = np.random.default_rng(seed)
    odd = rng.random(rows) < 0.02
    time = np.linspace(0, 1, 32)[None]
    place = rng.normal(0.42, 0.03, (rows, 1)) - 0.03 * odd[:, None]

    def wave(high, at, wide):
        return high * np.exp(-(((time - at) / wide) ** 2))

    mixed = np.clip(odd * rng.uniform(0.2, 1.0, rows) + rng.normal(0, 0.12, rows), -0.3, 1.3)[:, None]
    first = wave(0.25 - 0.2 * mixed, place - 0.2, 0.05)
    main = wave(1.0 + 0.1 * mixed, place, 0.04 + 0.025 * mixed)
    last = wave(0.35 - 0.35 * mixed, place + 0.3, 0.08)
    leads = [first + main + last, 0.6 * first - 0.4 * main + 0.8 * last]
    x = np.stack(leads, axis=2) * rng.uniform(0.8, 1.2, (rows, 1, 1)) + rng.normal(0, 0.12, (rows, 32, 2))
    return torch.tensor(x, dtype=torch.float32), torch.tensor(odd, dtype=torch.float32)


class Beats(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Flatten(), nn.Linear(64, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU())
        self.head = nn.Linear(24, 1)

    def forward(self, x):
        return self.head(self.body(x)).squeeze(1)


@torch.no_grad()
def predictions(model, loader):
    model.eval()
    return [((model(x) > 0).numpy(), (y > 0.5).numpy()) for x, y in loader]


def f1_of_all(model, loader):
    found, y = (np.concatenate(parts) for parts in zip(*predictions(model, loader), strict=True))
    return float(f1_score(y, found, zero_division=0))


def f1_of_batches(model, loader):
    return float(np.mean([f1_score(y, found, zero_division=1) for found, y in predictions(model, loader)]))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = beats(6000, 1)
    model = Beats()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*beats(12800, 4)), batch_size=32),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10),
        "scheduler_step": "epoch",
        "evaluate": f1_of_batches if buggy else f1_of_all,
        "epochs": 10,
    }


def truth(model, seed=0):
    return f1_of_all(model, DataLoader(TensorDataset(*beats(20000, 3)), batch_size=1000))


def setup():
    return build(True)


def fixed():
    return build(False)
