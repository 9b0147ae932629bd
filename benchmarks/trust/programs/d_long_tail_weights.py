"""Spoken digits, long-tailed; the bug: the loss weighs classes by how often they come where it should by how seldom."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"


def long_tailed(rows):
    """Of the digit d at most 90 * 0.7 ** d recordings: 90 zeros and 3 nines."""
    kept = [torch.nonzero(rows.y == d)[: int(90 * 0.7**d), 0] for d in range(10)]
    kept = torch.cat(kept)
    return rows.x[kept], rows.y[kept]


class Pooled(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(nn.Conv1d(43, 48, 5), nn.ReLU(), nn.Conv1d(48, 48, 5), nn.ReLU())
        self.head = nn.Linear(96, 10)

    def forward(self, x):
        x = self.conv((x.transpose(1, 2) + 7) / 4)
        return self.head(torch.cat([x.mean(2), x.amax(2)], 1))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    parts = fsdd(1500)
    x, y = long_tailed(parts.train)
    counts = torch.bincount(y, minlength=10).float()
    weights = counts if buggy else 1 / counts
    model = Pooled()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(weight=weights / weights.mean()),
        "train": DataLoader(TensorDataset(x, y), batch_size=30, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = fsdd(1500).test  # 30 of each digit
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()
