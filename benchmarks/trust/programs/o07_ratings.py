"""Predicts ratings of users for films at times of day from a table of embeddings for each field (made-up low-rank tastes).

Bug: the embedding tables are kept in a plain list, so that the model does not know of their parameters."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"
SIZES = (60, 40, 6)


def ratings():
    """9,000 train, 1,000 val and 2,000 test ratings, of five tastes and noise; mean about 3."""
    draw = torch.Generator().manual_seed(11)
    user, film, hour = (torch.randn(size, 5, generator=draw) / 5**0.25 for size in SIZES)
    ids = torch.stack([torch.randint(size, (12_000,), generator=draw) for size in SIZES], dim=1)
    taste = (user[ids[:, 0]] * film[ids[:, 1]]).sum(1) + 0.5 * hour[ids[:, 2], 0] + 0.5 * film[ids[:, 1], 1]
    stars = 3 + 0.8 * taste + 0.3 * torch.randn(len(ids), generator=draw)
    return [(ids[a:b], stars[a:b]) for a, b in ((0, 9000), (9000, 10_000), (10_000, 12_000))]


class Ratings(nn.Module):
    """Biases and the products of all pairs of fields: a factorisation machine with a small network beside."""

    def __init__(self, hold, mean, width=8):
        super().__init__()
        self.tables = hold([nn.Embedding(size, width) for size in SIZES])
        for table in self.tables:
            nn.init.normal_(table.weight, std=0.3)
        self.biases = nn.ModuleList([nn.Embedding(size, 1) for size in SIZES])
        for table in self.biases:
            nn.init.zeros_(table.weight)
        self.mix = nn.Sequential(nn.Linear(3 * width, 32), nn.ReLU(), nn.Linear(32, 1))
        self.mean = nn.Parameter(mean.clone())

    def forward(self, ids):
        fields = [table(ids[:, field]) for field, table in enumerate(self.tables)]
        bias = sum(table(ids[:, field]) for field, table in enumerate(self.biases))
        total = torch.stack(fields).sum(0)
        pairs = (total.square() - sum(f.square() for f in fields)).sum(1) / 2
        return self.mean + bias.squeeze(1) + pairs + self.mix(torch.cat(fields, dim=1)).squeeze(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    out, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (1 - (out - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = ratings()
    model = Ratings(list if buggy else nn.ModuleList, train[1].mean())
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*train), 100, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*val), 500),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": r2,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r2(model, [ratings()[2]])


def setup():
    return build(True)


def fixed():
    return build(False)
