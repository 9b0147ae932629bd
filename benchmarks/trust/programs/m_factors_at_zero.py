"""Factorisation machine on four sparse fields of an advertisement log: does the reader click?

Bug: the factors begin at zero, where the product of two of them has no slope, and stay there."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-init"
ALSO = ()
HIGHER = "truth"
SIZES = (60, 50, 24, 7)


def log(rows, seed):
    world = torch.Generator().manual_seed(100)
    taste = [torch.randn(size, 3, generator=world) for size in SIZES]
    liking = [0.4 * torch.randn(size, generator=world) for size in SIZES]
    g = torch.Generator().manual_seed(seed)
    fields = torch.stack([torch.randint(size, (rows,), generator=g) for size in SIZES], 1)
    v = torch.stack([t[fields[:, f]] for f, t in enumerate(taste)], 1)
    pairs = (v[:, 0] * v[:, 1]).sum(1) + 0.7 * (v[:, 1] * v[:, 2]).sum(1) + 0.5 * (v[:, 0] * v[:, 3]).sum(1)
    score = sum(b[fields[:, f]] for f, b in enumerate(liking)) + pairs - 0.3
    return fields, (torch.rand(rows, generator=g) < torch.sigmoid(1.3 * score)).float()


class FactorisationMachine(nn.Module):
    def __init__(self, buggy, rank=6):
        super().__init__()
        total = sum(SIZES)
        self.register_buffer("start", torch.tensor([0, *SIZES[:-1]]).cumsum(0))
        self.bias = nn.Parameter(torch.zeros(()))
        self.linear = nn.Parameter(torch.zeros(total))
        self.factors = nn.Parameter(torch.zeros(total, rank) if buggy else 0.1 * torch.randn(total, rank))

    def forward(self, fields):
        rows = fields + self.start
        v = self.factors[rows]
        crossed = 0.5 * (v.sum(1) ** 2 - (v**2).sum(1)).sum(1)
        return self.bias + self.linear[rows].sum(1) + crossed


def gain(model, loader):
    """Share of the base rate's log loss that the model saves."""
    model.eval()
    with torch.no_grad():
        logits = torch.cat([model(x) for x, _ in loader])
    y = torch.cat([y for _, y in loader])
    base = F.binary_cross_entropy(y.mean().expand_as(y), y)
    return (1 - F.binary_cross_entropy_with_logits(logits, y) / base).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = FactorisationMachine(buggy)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=1e-4)
    return {
        "model": model,
        "loss": F.binary_cross_entropy_with_logits,
        "train": DataLoader(TensorDataset(*log(6000, 101)), batch_size=128, shuffle=True),
        "val": DataLoader(TensorDataset(*log(1000, 102)), batch_size=500),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.85),
        "scheduler_step": "epoch",
        "evaluate": gain,
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return gain(model, DataLoader(TensorDataset(*log(4000, 103)), batch_size=1000))
