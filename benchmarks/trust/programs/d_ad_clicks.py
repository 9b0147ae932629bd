"""Click prediction from a few numbers and two crowded categories, which are target-encoded to smoothed click rates.

Bug: a training row's encoding is computed with the row's own click in it; the twin encodes out of fold."""

import numpy as np
import torch
from sklearn.model_selection import KFold
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ("train-val-mismatch",)
HIGHER = "truth"

PUBLISHERS, CAMPAIGNS, SMOOTHING = 900, 500, 2.0


def click_log():
    """Numbers (N, 6), categories (N, 2) and clicks (N,) of 7,000 impressions; publishers and campaigns differ."""
    rng = np.random.default_rng(7)
    rows = 7000
    numbers = rng.normal(size=(rows, 6))
    categories = np.stack([rng.integers(0, PUBLISHERS, rows), rng.integers(0, CAMPAIGNS, rows)], axis=1)
    publisher, campaign = rng.normal(0, 0.5, PUBLISHERS), rng.normal(0, 0.4, CAMPAIGNS)
    score = 1.3 * numbers[:, 0] - 1.0 * numbers[:, 1] * (numbers[:, 2] > 0) + 0.9 * np.abs(numbers[:, 3]) - 0.7
    score += publisher[categories[:, 0]] + campaign[categories[:, 1]]
    clicks = (rng.random(rows) < 1 / (1 + np.exp(-1.5 * score))).astype(np.float64)
    return numbers, categories, clicks


def click_rates(categories, clicks, size):
    """Smoothed click rate of each level, as log odds around the overall rate; levels never seen get 0."""
    shown = np.bincount(categories, minlength=size)
    clicked = np.bincount(categories, weights=clicks, minlength=size)
    rate = (clicked + SMOOTHING * clicks.mean()) / (shown + SMOOTHING)
    return np.log(rate / (1 - rate)) - np.log(clicks.mean() / (1 - clicks.mean()))


def encode_training(categories, clicks, sizes, out_of_fold):
    encoded = np.zeros(categories.shape)
    if out_of_fold:
        folds = KFold(10, shuffle=True, random_state=0).split(categories)
    else:
        folds = [(np.arange(len(categories)), np.arange(len(categories)))]
    for known, asked in folds:
        for column, size in enumerate(sizes):
            rates = click_rates(categories[known, column], clicks[known], size)
            encoded[asked, column] = rates[categories[asked, column]]
    return encoded


def prepared(out_of_fold):
    numbers, categories, clicks = click_log()
    sizes = (PUBLISHERS, CAMPAIGNS)
    train, val, test = slice(0, 4000), slice(4000, 5000), slice(5000, None)
    encoded = np.zeros(categories.shape)
    encoded[train] = encode_training(categories[train], clicks[train], sizes, out_of_fold)
    for column, size in enumerate(sizes):
        rates = click_rates(categories[train, column], clicks[train], size)
        for part in (val, test):
            encoded[part, column] = rates[categories[part, column]]
    numbers = (numbers - numbers[train].mean(0)) / numbers[train].std(0)
    features = np.concatenate([numbers, encoded], axis=1)  # log odds need no further scaling
    x, y = torch.tensor(features, dtype=torch.float32), torch.tensor(clicks, dtype=torch.float32)
    return [TensorDataset(x[part], y[part]) for part in (train, val, test)]


class ClickNet(nn.Sequential):
    def __init__(self):
        super().__init__(nn.Linear(8, 48), nn.ReLU(), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1), nn.Flatten(0))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = sum(((model(x) > 0) == (y > 0.5)).sum().item() for x, y in loader)
    return right / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = prepared(out_of_fold=not buggy)
    model = ClickNet()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    _, _, test = prepared(out_of_fold=True)  # test rows are encoded with the training rows alone either way
    return accuracy(model, DataLoader(test, 250))


def setup():
    return build(True)


def fixed():
    return build(False)
