"""Next item of a shopping session by a GRU over the items so far (GRU4Rec without its sampling).

Bug: AdamW's usual weight decay of 0.01 is given to Adam, where it is an L2 penalty that swamps the small gradients."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "weight-decay-too-high"
ALSO = ()
HIGHER = "truth"

ITEMS, STEPS = 150, 11


@cache
def sessions():
    """Sessions (5000, STEPS + 1) of item ids: from an item people mostly go on to one of its four companions."""
    rng = np.random.default_rng(2)
    companions = np.stack([rng.choice(ITEMS, 4, replace=False) for _ in range(ITEMS)])
    count = 5000
    clicks = np.zeros((count, STEPS + 1), dtype=np.int64)
    clicks[:, 0] = rng.integers(0, ITEMS, count)
    for step in range(1, STEPS + 1):
        follows = companions[clicks[:, step - 1], rng.choice(4, count, p=[0.4, 0.3, 0.2, 0.1])]
        if step > 1:  # now and then, back to where one came from
            follows = np.where(rng.random(count) < 0.15, clicks[:, step - 2], follows)
        clicks[:, step] = np.where(rng.random(count) < 0.85, follows, rng.integers(0, ITEMS, count))
    return torch.from_numpy(clicks)


def part(begin, end):
    clicks = sessions()[begin:end]
    return TensorDataset(clicks[:, :-1], clicks[:, 1:])


class SessionRecommender(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.items = nn.Embedding(ITEMS, width)
        self.drop = nn.Dropout(0.1)
        self.gru = nn.GRU(width, width, batch_first=True)
        self.out = nn.Linear(width, ITEMS)

    def forward(self, clicks):
        states, _ = self.gru(self.drop(self.items(clicks)))
        return self.out(self.drop(states))


def next_item_loss(scores, clicks):
    return nn.functional.cross_entropy(scores.flatten(0, 1), clicks.flatten())


def hit_rate(model, loader, k=5):
    """How often the next item is among the k best of the whole shop."""
    model.eval()
    hits = asked = 0
    with torch.no_grad():
        for clicks, following in loader:
            best = model(clicks).topk(k, dim=-1).indices
            hits += (best == following[..., None]).any(-1).sum().item()
            asked += following.numel()
    return hits / asked


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = SessionRecommender()
    kind = torch.optim.Adam if buggy else torch.optim.AdamW
    return {
        "model": model,
        "loss": next_item_loss,
        "train": DataLoader(part(0, 3500), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(part(3500, 4000), 250),
        "optimizer": kind(model.parameters(), lr=4e-3, weight_decay=1e-2),
        "evaluate": hit_rate,
        "epochs": 6,
        "causal": True,
    }


def truth(model, seed=0):
    return hit_rate(model, DataLoader(part(4000, 5000), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
