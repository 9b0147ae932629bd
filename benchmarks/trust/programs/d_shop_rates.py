"""Predicts whether an order is sent back, from its measures and from the rate of returns of its shop (600 shops).

Bug: the shop's rate that a training row is given counts that row's own outcome."""

from functools import cache

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ("train-val-mismatch",)
HIGHER = "truth"
SHOPS, PRIOR = 600, 1.0  # PRIOR: how many average orders each shop's rate begins with


@cache
def orders():
    """Measures (N, 8), shop (N,), sent back (N,) of 1,500 + 800 + 4,000 orders."""
    g = torch.Generator().manual_seed(7)
    count = 1500 + 800 + 4000
    measures = torch.randn(count, 8, generator=g)
    shop = torch.randint(SHOPS, (count,), generator=g)
    quality = torch.randn(SHOPS, generator=g)
    weight = torch.tensor([1.0, -0.8, 0.6, 0.5, 0.0, 0.0, 0.0, 0.0])
    logit = 1.3 * (measures @ weight + 1.1 * measures[:, 4] * measures[:, 5]) + 0.8 * quality[shop] - 0.4
    back = torch.bernoulli(torch.sigmoid(logit), generator=g)
    return measures, shop, back


def rates(shop, back, known_shop, known_back, without_own):
    """Smoothed share of returns of each row's shop among the known rows, which may hold the row itself."""
    mean = known_back.mean()
    count = torch.zeros(SHOPS).index_add_(0, known_shop, torch.ones(len(known_shop)))[shop]
    total = torch.zeros(SHOPS).index_add_(0, known_shop, known_back)[shop]
    if without_own:
        count, total = count - 1, total - back
    return (total + PRIOR * mean) / (count + PRIOR)


def table(part, buggy=False):
    measures, shop, back = orders()
    cut = {"train": slice(0, 1500), "val": slice(1500, 2300), "test": slice(2300, None)}
    known, chosen = cut["train"], cut[part]
    rate = rates(shop[chosen], back[chosen], shop[known], back[known], without_own=part == "train" and not buggy)
    x = torch.cat([measures[chosen], (rate[:, None] - 0.45) / 0.2], 1)
    return TensorDataset(x, back[chosen])


class Returns(nn.Module):
    def __init__(self):
        super().__init__()
        self.wide = nn.Linear(9, 1)
        self.deep = nn.Sequential(
            nn.Linear(9, 64), nn.ReLU(), nn.Dropout(0.2), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1)
        )

    def forward(self, x):
        return (self.wide(x) + self.deep(x)).squeeze(1)


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([((model(x) > 0) == (y > 0.5)).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val = table("train", buggy), table("val")
    model = Returns()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 400),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05),
        "evaluate": accuracy,
        "epochs": 15,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(table("test"), 1000))


def setup():
    return build(True)


def fixed():
    return build(False)
