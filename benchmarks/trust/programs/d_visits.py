"""Relapse of a patient from twelve measures of one visit; 400 patients came four times each.

Bug: visits are split at random, so nearly every patient of the validation set is in the training set too."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"


def cohort(patients, rng):
    """Measures hang about a patient's own level; relapse depends on the level and on what nobody measured."""
    level = rng.normal(size=(patients, 12))
    risk = (
        level[:, 0]
        + level[:, 1] * 0.9
        - level[:, 2] * 0.8
        + 0.7 * level[:, 3] * level[:, 4]
        + 0.9 * rng.normal(size=patients)
    )
    who = np.repeat(np.arange(patients), 4)
    x = level[who] + 0.25 * rng.normal(size=(len(who), 12))
    return who, torch.tensor(x, dtype=torch.float32), torch.tensor((risk > 0).astype(np.float32))[who]


def tables():
    rng = np.random.default_rng(5)
    return cohort(400, rng), cohort(400, rng)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = [((model(x).squeeze(1) > 0) == (y > 0.5)).float() for x, y in loader]
    return torch.cat(hits).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    (who, x, y), _ = tables()
    rng = np.random.default_rng(1)
    held = rng.random(len(who)) < 0.25 if buggy else np.isin(who, rng.permutation(400)[:100])
    held = torch.from_numpy(held)
    model = nn.Sequential(nn.Linear(12, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 1))
    loss = nn.BCEWithLogitsLoss()
    return {
        "model": model,
        "loss": lambda out, target: loss(out.squeeze(1), target),
        "train": DataLoader(TensorDataset(x[~held], y[~held]), 32, shuffle=True),
        "val": DataLoader(TensorDataset(x[held], y[held]), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 20,
    }


def truth(model, seed=0):
    _, x, y = tables()[1]
    return evaluate(model, [(x, y)])


def setup():
    return build(True)


def fixed():
    return build(False)
