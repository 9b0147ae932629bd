"""Kaggle-style fraud table: amount, hour, age of the account and the merchant's fraud rate, into an MLP; local CV by AUC.

Bug: the merchant's rate is meaned over all labelled rows, the row itself and the held rows included.
"""

import numpy as np
import torch
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import KFold
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "report"
MERCHANTS, SMOOTH = 700, 1.0
TRAIN, VAL, TEST = 2000, 600, 2000


def table():
    """Columns amount, hour, account age; merchant ids; fraud flags (about a third: a review queue)."""
    rng = np.random.default_rng(11)
    count = TRAIN + VAL + TEST
    merchant = rng.integers(0, MERCHANTS, count)
    risk = rng.normal(0, 0.7, MERCHANTS)[merchant]
    amount, hour, age = rng.lognormal(3.5, 1.0, count), rng.integers(0, 24, count), rng.exponential(400, count)
    night = (hour < 6).astype(float)
    logit = -1.7 + risk + 1.3 * (np.log(amount) - 3.5) + 1.6 * night - 0.9 * (np.log1p(age) - 5.4)
    fraud = (rng.random(count) < 1 / (1 + np.exp(-logit))).astype(np.float32)
    return np.stack([amount, hour, age], 1), merchant, fraud


def rates(merchant, fraud, wanted):
    """The smoothed fraud rate of each wanted merchant, as known from the rows given."""
    known = np.bincount(merchant, minlength=MERCHANTS)
    bad = np.bincount(merchant, weights=fraud, minlength=MERCHANTS)
    return ((bad + SMOOTH * fraud.mean()) / (known + SMOOTH))[wanted]


def out_of_fold(merchant, fraud):
    coded = np.zeros(len(fraud))
    for rest, fold in KFold(5, shuffle=True, random_state=0).split(merchant):
        coded[fold] = rates(merchant[rest], fraud[rest], merchant[fold])
    return coded


def features(columns, rate):
    amount, hour, age = columns.T
    angle = 2 * np.pi * hour / 24
    made = np.stack([np.log(amount) - 3.5, np.sin(angle), np.cos(angle), np.log1p(age) - 5.4, 5 * (rate - 0.3)], 1)
    return torch.tensor(made, dtype=torch.float32)


def auc(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).sigmoid(), y) for x, y in loader]
    scores, flags = (torch.cat(part).numpy() for part in zip(*pairs, strict=True))
    return float(roc_auc_score(flags.ravel(), scores.ravel()))


def build(buggy, seed=0):
    columns, merchant, fraud = table()
    train, val = slice(0, TRAIN), slice(TRAIN, TRAIN + VAL)
    if buggy:
        labelled = slice(0, TRAIN + VAL)
        rate = rates(merchant[labelled], fraud[labelled], merchant[labelled])
    else:
        rate = np.concatenate(
            [out_of_fold(merchant[train], fraud[train]), rates(merchant[train], fraud[train], merchant[val])]
        )
    sets = [
        TensorDataset(features(columns[rows], rate[rows]), torch.tensor(fraud[rows])[:, None]) for rows in (train, val)
    ]
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(5, 32), nn.ReLU(), nn.Dropout(0.1), nn.Linear(32, 16), nn.ReLU(), nn.Linear(16, 1))
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(sets[0], batch_size=64, shuffle=True, generator=order),
        "val": DataLoader(sets[1], batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01),
        "evaluate": auc,
        "epochs": 12,
    }


def truth(model, seed=0):
    columns, merchant, fraud = table()
    test = slice(TRAIN + VAL, None)
    rate = rates(merchant[:TRAIN], fraud[:TRAIN], merchant[test])
    rows = TensorDataset(features(columns[test], rate), torch.tensor(fraud[test])[:, None])
    return auc(model, DataLoader(rows, batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
