"""Finds the one in twelve transactions that are fraud; a weighted sampler shows as many of them as of the others.

Near: class-imbalance, since the rows are imbalanced as they lie (the sampler mends it, drawing with replacement, and the
report is balanced accuracy); train-val-mismatch, since validation keeps the true shares; unshuffled, as shuffle is off."""

import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "train-val-mismatch", "unshuffled", "split-overlap")
SHOPS = 20


def transactions(count, seed):
    """Shops (N,), and log amount, hour and distance (N, 4); fraud (N, 1)."""
    g = torch.Generator().manual_seed(seed)
    own = torch.Generator().manual_seed(0)
    usual = 1.2 * torch.randn(SHOPS, generator=own)
    y = (torch.rand(count, generator=g) < 1 / 12).float()
    shop = torch.randint(SHOPS, (count,), generator=g)
    sign = torch.randint(2, (count,), generator=g) * 2.0 - 1
    amount = usual[shop] + 0.5 * torch.randn(count, generator=g) + 1.4 * y * sign
    hour = 2 * torch.pi * torch.where(y > 0, 0.15, 0.6).add(0.14 * torch.randn(count, generator=g))
    far = torch.randn(count, generator=g).abs() * (1 + 0.8 * y)
    return shop, torch.stack([amount, torch.sin(hour), torch.cos(hour), far], 1), y.unsqueeze(1)


class Fraud(nn.Module):
    def __init__(self):
        super().__init__()
        self.shops = nn.Embedding(SHOPS, 6)
        self.body = nn.Sequential(nn.Linear(10, 64), nn.ELU(), nn.Linear(64, 32), nn.ELU(), nn.Linear(32, 1))

    def forward(self, shop, values):
        return self.body(torch.cat([self.shops(shop), values], 1))


def collate(rows):
    shop, values, y = (torch.stack(part) for part in zip(*rows, strict=True))
    return {"shop": shop, "values": values}, y


@torch.no_grad()
def balanced(model, loader):
    model.eval()
    pairs = [(model(**x) > 0, y > 0.5) for x, y in loader]
    found, there = (torch.cat(part).squeeze(1) for part in zip(*pairs, strict=True))
    return float(balanced_accuracy_score(there, found))


def build(seed=0):
    torch.manual_seed(seed)
    rows = transactions(4000, 1)
    fraud = rows[2].squeeze(1)
    weights = torch.where(fraud > 0, 1 / fraud.mean(), 1 / (1 - fraud.mean()))
    sampler = WeightedRandomSampler(weights.tolist(), num_samples=len(weights), replacement=True)
    model = Fraud()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*rows), batch_size=64, sampler=sampler, collate_fn=collate),
        "val": DataLoader(TensorDataset(*transactions(1000, 2)), batch_size=250, collate_fn=collate),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": balanced,
        "epochs": 8,
    }


def truth(model, seed=0):
    return balanced(model, DataLoader(TensorDataset(*transactions(4000, 3)), batch_size=500, collate_fn=collate))


def fixed():
    return build()
