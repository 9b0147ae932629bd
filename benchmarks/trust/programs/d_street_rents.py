"""Predicts rents from a flat's size, age and floor and from its street, encoded as the mean rent of the street's flats.

Bug: the mean of a street contains the flat's own rent; streets have few flats, so the column tells what is asked."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ("train-val-mismatch",)
HIGHER = "truth"
STREETS, PRIOR = 900, 1.0


def flats(count, seed):
    """Columns (N, 3), streets (N,), standardised rents (N,); the town is the same for all seeds."""
    town = torch.Generator().manual_seed(0)
    charm = 0.7 * torch.randn(STREETS, generator=town)
    g = torch.Generator().manual_seed(seed)
    street = torch.randint(STREETS, (count,), generator=g)
    size, age, floor = torch.randn(3, count, generator=g)
    rent = 0.55 * size + 0.25 * torch.tanh(2 * size) - 0.2 * age + 0.15 * age.square() + 0.1 * floor * size
    rent = rent + charm[street] + 0.35 * torch.randn(count, generator=g)
    return torch.stack([size, age, floor], 1), street, rent


class StreetMeans:
    """Mean rents of streets, drawn towards the town's mean where there are few."""

    def __init__(self, street, rent):
        self.sums = torch.zeros(STREETS).index_add_(0, street, rent)
        self.counts = torch.bincount(street, minlength=STREETS).float()
        self.town = rent.mean()

    def encode(self, street, own=None):
        """With `own`, the rents of these very flats are left out of their means."""
        sums, counts = self.sums[street], self.counts[street]
        if own is not None:
            sums, counts = sums - own, counts - 1
        return (sums + PRIOR * self.town) / (counts + PRIOR)


class Rents(nn.Module):
    def __init__(self, means):
        super().__init__()
        self.means = means
        self.net = nn.Sequential(nn.Linear(4, 48), nn.GELU(), nn.Linear(48, 48), nn.GELU(), nn.Linear(48, 1))

    def forward(self, x):
        return self.net(x).squeeze(1)


def inputs(means, columns, street, own=None):
    return torch.cat([columns, means.encode(street, own).unsqueeze(1)], 1)


@torch.no_grad()
def r2(model, loader):
    model.eval()
    said, rent = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((said - rent).square().mean() / rent.var()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    columns, street, rent = flats(2700, 1)
    held, their_street, their_rent = flats(600, 2)
    means = StreetMeans(street, rent)
    model = Rents(means)
    train = TensorDataset(inputs(means, columns, street, own=None if buggy else rent), rent)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(inputs(means, held, their_street), their_rent), batch_size=200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": r2,
        "epochs": 12,
    }


def truth(model, seed=0):
    """On flats that come to the market later, whose rents no mean contains."""
    columns, street, rent = flats(2000, 3)
    return r2(model, DataLoader(TensorDataset(inputs(model.means, columns, street), rent), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
