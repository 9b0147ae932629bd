"""Finds the rare windows of a vibration signal with a bearing's knocks, by a 1D CNN with a weighted loss.

Bug: the weight of the rare kind is positives over negatives, the wrong way up, so knocks count even less."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"
LENGTH = 128


def windows(rows, seed):
    g = torch.Generator().manual_seed(seed)
    time = torch.arange(LENGTH) / LENGTH
    phase = 2 * math.pi * torch.rand(rows, 1, generator=g)
    speed = 3 + 2 * torch.rand(rows, 1, generator=g)
    hum = torch.sin(2 * math.pi * speed * time + phase) + 0.7 * torch.randn(rows, LENGTH, generator=g)
    knocking = torch.rand(rows, generator=g) < 0.07
    gap = 18 + 10 * torch.rand(rows, 1, generator=g)
    since = torch.remainder(torch.arange(LENGTH) - gap * torch.rand(rows, 1, generator=g), gap)
    ring = torch.exp(-since / 3) * torch.cos(since * 2.0)
    strength = 1.8 + 1.2 * torch.rand(rows, 1, generator=g)
    return (hum + knocking[:, None] * strength * ring)[:, None], knocking.float()


def network():
    return nn.Sequential(
        nn.Conv1d(1, 16, 9, padding=4),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 9, padding=4),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 1),
        nn.Flatten(0),
    )


def build(buggy, seed=0):
    torch.manual_seed(seed)
    (x, y), held = windows(3500, 1), windows(1000, 2)
    positives, negatives = y.sum(), (1 - y).sum()
    weight = positives / negatives if buggy else negatives / positives
    model = network()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(pos_weight=weight),
        "train": DataLoader(TensorDataset(x, y), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*held), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": balanced_accuracy,
        "epochs": 12,
    }


@torch.no_grad()
def balanced_accuracy(model, loader):
    """Mean of the recalls of both kinds: a missed knock costs as much as all its false alarms."""
    model.eval()
    guess, wanted = (torch.cat(part) for part in zip(*((model(x) > 0, y > 0.5) for x, y in loader), strict=True))
    return ((guess[wanted]).float().mean() + (~guess[~wanted]).float().mean()).item() / 2


def truth(model, seed=0):
    return balanced_accuracy(model, [windows(2000, 3)])


def setup():
    return build(True)


def fixed():
    return build(False)
