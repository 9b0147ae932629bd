"""Will a payment be charged back? Six measures, and the rate of charge-backs of the merchant (one of 700).

Bug: a merchant's rate is taken over all rows, the row itself among them, instead of over the other folds."""

import numpy as np
import pandas as pd
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
MERCHANTS = 700


def payments(rows, seed):
    rng, fixed_rng = np.random.default_rng(seed), np.random.default_rng(77)
    bad = fixed_rng.normal(size=MERCHANTS) * 0.7
    merchant = rng.integers(0, MERCHANTS, rows)
    x = rng.normal(size=(rows, 6))
    score = 1.5 * x[:, 0] - 1.2 * x[:, 1] + x[:, 2] * x[:, 3] + bad[merchant] + 0.5 * rng.normal(size=rows)
    frame = pd.DataFrame(x, columns=[f"m{k}" for k in range(6)])
    return frame.assign(merchant=merchant, back=(score > 0.5).astype(float))


def rates(known, merchants, prior):
    """Smoothed rate of each of `merchants` by the rows of `known`."""
    found = known.groupby("merchant")["back"].agg(["sum", "count"])
    found = (found["sum"] + prior) / (found["count"] + 1)
    return merchants.map(found).fillna(prior).to_numpy()


def rates_of_other_folds(frame, prior, folds=5):
    fold = np.random.default_rng(6).integers(0, folds, len(frame))
    rate = np.zeros(len(frame))
    for k in range(folds):
        rate[fold == k] = rates(frame[fold != k], frame["merchant"][fold == k], prior)
    return rate


def rows_of(frame, rate):
    x = np.column_stack([frame[[f"m{k}" for k in range(6)]], 3 * (rate - 0.4)])
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(frame["back"].values, dtype=torch.float32))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(7, 48), nn.SiLU(), nn.Linear(48, 24), nn.SiLU(), nn.Linear(24, 1))

    def forward(self, x):
        return self.net(x).squeeze(-1)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([((model(x) > 0) == (y > 0.5)).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val = payments(2500, 1), payments(800, 2)
    prior = train["back"].mean()
    rate = rates(train, train["merchant"], prior) if buggy else rates_of_other_folds(train, prior)
    model = Net()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(rows_of(train, rate), 32, shuffle=True),
        "val": DataLoader(rows_of(val, rates(train, val["merchant"], prior)), 400),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 8,
    }


def truth(model, seed=0):
    train, test = payments(2500, 1), payments(4000, 3)
    return evaluate(model, DataLoader(rows_of(test, rates(train, test["merchant"], train["back"].mean())), 1000))


def setup():
    return build(True)


def fixed():
    return build(False)
