"""Malignant or benign from cell measures gathered by two hospitals.

Bug: the second hospital writes 1 for malignant, the first 0; their rows are joined without recoding."""

import numpy as np
import torch
from sklearn.datasets import load_breast_cancer
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"


def tables():
    data = load_breast_cancer()
    x, y = data.data.astype(np.float32), data.target.copy()
    rng = np.random.default_rng(11)
    order = rng.permutation(len(y))
    x, y = x[order], y[order]
    hospital = rng.random(len(y)) < 0.38  # True: the second
    return x, y, hospital


def recode(y, hospital, buggy):
    """The second hospital's files hold 1 = malignant."""
    as_written = np.where(hospital, 1 - y, y)
    if buggy:
        return as_written
    return np.where(hospital, 1 - as_written, as_written)


def prepared(buggy):
    x, y, hospital = tables()
    train, val, test = np.split(np.arange(len(y)), [340, 430])
    mean, std = x[train].mean(0), x[train].std(0)
    x = torch.from_numpy((x - mean) / std)
    label = torch.from_numpy(recode(y, hospital, buggy)).long()
    clean = torch.from_numpy(y).long()
    return (x[train], label[train]), (x[val], label[val]), (x[test], clean[test])


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(30, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.out = nn.Linear(32, 2)

    def forward(self, x):
        return self.out(self.body(x))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        hits = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return hits / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = prepared(buggy)
    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=16, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=64),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 40,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = prepared(False)[2]
    return (model(x).argmax(1) == y).float().mean().item()
