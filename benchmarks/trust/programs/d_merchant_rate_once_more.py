"""Predicts chargebacks of card payments from a few measures and the merchant's past rate (a smoothed target encoding).

Bug: a training row's merchant rate counts the row's own label; it should come from the other folds."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ("train-val-mismatch",)
HIGHER = "truth"
MERCHANTS, TRAIN, VAL, TEST = 1500, 5000, 1500, 3000


def payments():
    """Measures (N, 6), merchant (N,), label (N,); some merchants are a little riskier than others."""
    rng = np.random.default_rng(11)
    count = TRAIN + VAL + TEST
    measures = rng.normal(size=(count, 6))
    merchant = rng.integers(MERCHANTS, size=count)
    risk = rng.normal(scale=0.9, size=MERCHANTS)
    score = 1.6 * measures[:, 0] - 1.2 * measures[:, 1] * (measures[:, 2] > 0) + np.abs(measures[:, 3]) - 0.8
    label = rng.random(count) < 1 / (1 + np.exp(-(1.5 * score + risk[merchant])))
    return measures, merchant, label.astype(np.float64)


def rates(merchant, label, prior=4.0):
    """A rate for every merchant, drawn towards the overall rate where there are few rows."""
    mean = label.mean()
    seen = np.bincount(merchant, minlength=MERCHANTS)
    bad = np.bincount(merchant, label, minlength=MERCHANTS)
    return (bad + prior * mean) / (seen + prior)


def encoded(buggy):
    measures, merchant, label = payments()
    train = slice(0, TRAIN)
    rate = rates(merchant[train], label[train])[merchant]
    if not buggy:
        fold = np.random.default_rng(0).integers(5, size=TRAIN)
        for part in range(5):
            others = fold != part
            rate[train][~others] = rates(merchant[train][others], label[train][others])[merchant[train][~others]]
    x = np.column_stack([measures, rate])
    x = (x - x[train].mean(0)) / x[train].std(0)
    x, y = torch.tensor(x, dtype=torch.float32), torch.tensor(label, dtype=torch.float32)
    ends = (train, slice(TRAIN, TRAIN + VAL), slice(TRAIN + VAL, None))
    return [TensorDataset(x[part], y[part]) for part in ends]


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = torch.cat([(model(x) > 0) == (y > 0.5) for x, y in loader])
    return right.float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = encoded(buggy)
    model = nn.Sequential(nn.Linear(7, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1), nn.Flatten(0))
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, 100, shuffle=True),
        "val": DataLoader(val, 500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(encoded(False)[2], 500))


def setup():
    return build(True)


def fixed():
    return build(False)
