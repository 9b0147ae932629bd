"""Sector of the firms in one payment graph, a tenth of them labelled; the whole graph is every batch (transductive)."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

BUG = None
NEAR = ("split-overlap", "batch-mixing", "unshuffled")

FIRMS, SECTORS, UNKNOWN = 800, 5, -100


def graph():
    rng = np.random.default_rng(3)
    y = rng.integers(0, SECTORS, FIRMS)
    same = y[:, None] == y[None]
    a = np.triu(rng.random((FIRMS, FIRMS)) < np.where(same, 0.022, 0.003), 1)
    a = (a | a.T).astype(np.float32) + np.eye(FIRMS, dtype=np.float32)
    d = a.sum(1) ** -0.5
    x = rng.normal(0, 1, (FIRMS, 20)) + 0.7 * rng.normal(0, 1, (SECTORS, 20))[y]
    return torch.tensor(x, dtype=torch.float32), torch.from_numpy(d[:, None] * a * d[None]), torch.from_numpy(y)


def parts():
    order = torch.randperm(FIRMS, generator=torch.Generator().manual_seed(9))
    return order[:80], order[80:280], order[280:]


def only(y, nodes):
    masked = torch.full_like(y, UNKNOWN)
    masked[nodes] = y[nodes]
    return masked


class GCN(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.first, self.second = nn.Linear(20, hidden), nn.Linear(hidden, SECTORS)

    def forward(self, x, a):
        x = F.dropout(x, 0.4, self.training)
        h = torch.relu(a @ self.first(x))
        h = F.dropout(h, 0.5, self.training)
        return a @ self.second(h)


def masked_accuracy(model, loader):
    model.eval()
    right = known = 0
    with torch.no_grad():
        for (x, a), y in loader:
            mask = y != UNKNOWN
            right += (model(x, a).argmax(1) == y)[mask].sum().item()
            known += mask.sum().item()
    return right / known


def build(seed=0):
    torch.manual_seed(seed)
    x, a, y = graph()
    train, val, _ = parts()
    model = GCN()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(ignore_index=UNKNOWN),
        "train": [((x, a), only(y, train))],
        "val": [((x, a), only(y, val))],
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=5e-4),
        "evaluate": masked_accuracy,
        "epochs": 120,
    }


def fixed():
    return build()


def truth(model, seed=0):
    x, a, y = graph()
    return masked_accuracy(model, [((x, a), only(y, parts()[2]))])
