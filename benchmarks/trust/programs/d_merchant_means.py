"""Predicts the basket value of a visit from six measures and the mean basket of the merchant, an MLP on a table.

Bug: the merchant's mean that a training row is given was computed with that row's own target in it."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "truth"
MERCHANTS, PRIOR, FOLDS = 700, 2.0, 10


def visits():
    rng = np.random.default_rng(11)
    rows = 2000 + 500 + 1500
    effect = rng.normal(0, 0.8, MERCHANTS)
    merchant = rng.integers(0, MERCHANTS, rows)
    x = rng.normal(size=(rows, 6))
    y = 0.8 * x[:, 0] - 0.6 * x[:, 1] + np.sin(2 * x[:, 2]) + 0.5 * x[:, 3] * x[:, 4] + effect[merchant]
    y = y + rng.normal(0, 0.9, rows)
    ends = (slice(0, 2000), slice(2000, 2500), slice(2500, None))
    return [(merchant[e], x[e].astype(np.float32), y[e].astype(np.float32)) for e in ends]


def merchant_means(merchant, y):
    """Mean target of each merchant, drawn towards the global mean where a merchant has few rows."""
    count = np.bincount(merchant, minlength=MERCHANTS)
    total = np.bincount(merchant, weights=y, minlength=MERCHANTS)
    return (total + PRIOR * y.mean()) / (count + PRIOR)


def out_of_fold(merchant, y):
    fold = np.random.default_rng(5).permutation(len(y)) % FOLDS
    encoded = np.empty(len(y))
    for k in range(FOLDS):
        held = fold == k
        encoded[held] = merchant_means(merchant[~held], y[~held])[merchant[held]]
    return encoded


def tensors(x, encoded, y):
    columns = np.concatenate([x, encoded[:, None]], axis=1)
    return torch.tensor(columns, dtype=torch.float32), torch.tensor(y)


def r2(model, x, y):
    model.eval()
    with torch.no_grad():
        rest = (model(x) - y).square().sum()
    return 1 - (rest / (y - y.mean()).square().sum()).item()


class Basket(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(7, 64), nn.ReLU(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    (merchant, x, y), (val_merchant, val_x, val_y), _ = visits()
    means = merchant_means(merchant, y)
    encoded = means[merchant] if buggy else out_of_fold(merchant, y)
    train = TensorDataset(*tensors(x, encoded, y))
    val = TensorDataset(*tensors(val_x, means[val_merchant], val_y))
    model = Basket()

    def evaluate(model, loader):
        pairs = list(loader)
        return r2(model, torch.cat([x for x, _ in pairs]), torch.cat([y for _, y in pairs]))

    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=64, shuffle=True),
        "val": DataLoader(val, batch_size=250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        "evaluate": evaluate,
        "epochs": 15,
    }


def truth(model, seed=0):
    (merchant, _, y), _, (test_merchant, test_x, test_y) = visits()
    return r2(model, *tensors(test_x, merchant_means(merchant, y)[test_merchant], test_y))


def setup():
    return build(True)


def fixed():
    return build(False)
