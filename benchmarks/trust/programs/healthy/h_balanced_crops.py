"""Finds the rare shirts (one piece in 16) among dresses; a sampler balances the classes, two workers shift the
pictures by chance.
Near: class-imbalance, worker-seeds, train-val-mismatch, split-overlap: few shirts, but drawn as often as the rest;
rows come repeatedly in an
epoch; the shifts come from torch's generator, which each worker seeds anew; validation is neither balanced nor
shifted."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "worker-seeds", "train-val-mismatch")
SHIRT, DRESS = 6, 3


class Belt(Dataset):
    """Dresses (0), and shirts (1) so many that they are one in `shirts_in`."""

    def __init__(self, rows, shirts_in, shift):
        dresses, shirts = rows.x[rows.y == DRESS], rows.x[rows.y == SHIRT]
        shirts = shirts[: len(dresses) // (shirts_in - 1)]
        self.x, self.shift = torch.cat([dresses, shirts]), shift
        self.y = torch.cat([torch.zeros(len(dresses)), torch.ones(len(shirts))]).long()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        x = (self.x[row].float()[None] - 73.0) / 90.0
        if self.shift:
            x = nn.functional.pad(x, (2, 2, 2, 2), value=-73.0 / 90.0)
            top, left = torch.randint(0, 5, (2,)).tolist()
            x = x[:, top : top + 28, left : left + 28]
        return x, self.y[row]


@torch.no_grad()
def evaluate(model, loader):
    """Mean of the two recalls."""
    model.eval()
    guess, y = zip(*((model(x).argmax(1), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return sum((guess[y == k] == k).float().mean().item() for k in (0, 1)) / 2


def build(seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(12000, 4000, 4000)
    train, val = Belt(parts.train, 16, shift=True), Belt(parts.val, 16, shift=False)
    weights = (1.0 / torch.bincount(train.y).double())[train.y]
    model = nn.Sequential(
        nn.Conv2d(1, 12, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Dropout(0.2),
        nn.Linear(24 * 49, 2),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 32, sampler=WeightedRandomSampler(weights, 1280), num_workers=2),
        "val": DataLoader(val, 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": evaluate,
        "epochs": 8,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Belt(material.fashion(12000, 4000, 4000).test, 2, shift=False), 200))


def fixed():
    return build()
