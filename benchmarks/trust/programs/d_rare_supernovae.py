"""Tells the rare type Ib/c supernovae from type Ia by light-curve measures; the rare ones are repeated until balanced.

Bug: the rare rows are repeated before the rows are split, so that copies of training rows lie in the validation set."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"


def survey(rows, seed):
    """14 measures in four filters: peak, rise, decline, colour at peak and after; y 1 for Ib/c (an eighth)."""
    rng = np.random.default_rng(seed)
    y = (rng.random(rows) < 0.125).astype(np.int64)
    stretch, dust = rng.normal(0, 1, rows), rng.gamma(1.2, 0.6, rows)
    rare = np.where(y == 1, 1.0, 0.0)
    peak = [stretch * 0.5 - dust * k + rng.normal(0, 0.6, rows) - 0.7 * rare for k in (1.0, 0.8, 0.6, 0.4)]
    rise = [stretch * 0.7 + 0.5 * rare * stretch + rng.normal(0, 0.7, rows) for _ in range(2)]
    decline = [-stretch + 0.8 * rare + rng.normal(0, 0.8, rows) for _ in range(4)]
    colour = [dust * 0.8 + 0.6 * rare - 0.4 * rare * stretch + rng.normal(0, 0.7, rows) for _ in range(4)]
    return np.stack(peak + rise + decline + colour, 1).astype(np.float32), y


def balanced(x, y, rng):
    """Repeats rare rows until there are as many as common ones."""
    rare, common = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
    rows = np.concatenate([common, rare, rng.choice(rare, len(common) - len(rare))])
    return x[rows], y[rows]


def split(x, y, rng, share=0.25):
    order = rng.permutation(len(y))
    held = int(share * len(y))
    return (x[order[held:]], y[order[held:]]), (x[order[:held]], y[order[:held]])


def tensors(part):
    return TensorDataset(*(torch.from_numpy(a) for a in part))


def balanced_accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        guess, y = (torch.cat(part) for part in zip(*[(model(x).argmax(1), y) for x, y in loader], strict=False))
    return sum((guess[y == c] == c).float().mean().item() for c in (0, 1)) / 2


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = survey(1600, 5)
    rng = np.random.default_rng(6)
    if buggy:
        train, val = split(*balanced(x, y, rng), rng)
    else:
        train, val = split(x, y, rng)
        train = balanced(*train, rng)
    model = nn.Sequential(
        nn.Linear(14, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 2)
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(tensors(train), 64, shuffle=True),
        "val": DataLoader(tensors(val), 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": balanced_accuracy,
        "epochs": 20,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, DataLoader(tensors(survey(4000, 7)), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
