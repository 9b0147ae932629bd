"""Will a user like a candidate item? Attention from the candidate over the user's history (a small DIN), padded rows.

Bug: the attention's softmax runs over the padding too: nothing masks the empty places of short histories."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"

ITEMS, TOPICS, HISTORY = 80, 10, 30
PAD = 0


@cache
def visits():
    """Histories (N, HISTORY) of 1..ITEMS padded by 0, candidates (N,) and whether they were liked; 12,000 rows.

    A user who saw something of the candidate's topic mostly likes it.
    """
    rng = np.random.default_rng(3)
    topic = rng.integers(0, TOPICS, ITEMS)
    rows = 12_000
    histories, candidates = np.zeros((rows, HISTORY), dtype=np.int64), rng.integers(0, ITEMS, rows)
    liked = np.zeros(rows)
    for row in range(rows):
        length = min(HISTORY, 2 + rng.geometric(0.15))
        same = topic == topic[candidates[row]]
        seen = rng.choice(np.flatnonzero(~same), length)
        if rng.random() < 0.5:  # half of the candidates are shown because something like them was seen
            seen[rng.integers(length)] = rng.choice(np.flatnonzero(same))
        histories[row, :length] = seen + 1
        liked[row] = rng.random() < (0.92 if same[seen].any() else 0.08)
    order = rng.permutation(rows)
    tensors = torch.from_numpy(histories)[order], torch.from_numpy(candidates)[order] + 1
    return *tensors, torch.tensor(liked[order], dtype=torch.float32)


class InterestNetwork(nn.Module):
    def __init__(self, masked, width=24):
        super().__init__()
        self.masked = masked
        self.items = nn.Embedding(ITEMS + 1, width, padding_idx=PAD)
        nn.init.normal_(self.items.weight, std=0.1)
        with torch.no_grad():
            self.items.weight[PAD] = 0
        self.query, self.key = nn.Linear(width, width, bias=False), nn.Linear(width, width, bias=False)
        self.head = nn.Sequential(nn.Linear(3 * width, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, history, candidate):
        seen, asked = self.items(history), self.items(candidate)
        scores = torch.einsum("nd,ntd->nt", self.query(asked), self.key(seen)) / seen.shape[-1] ** 0.5
        if self.masked:
            scores = scores.masked_fill(history == PAD, float("-inf"))
        interest = torch.einsum("nt,ntd->nd", scores.softmax(dim=1), seen)
        return self.head(torch.cat([interest, asked, interest * asked], dim=1)).squeeze(1)


def collate(rows):
    histories, candidates, liked = (torch.stack(column) for column in zip(*rows, strict=True))
    return {"history": histories, "candidate": candidates}, liked


def part(begin, end):
    return TensorDataset(*(column[begin:end] for column in visits()))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = sum(((model(**x) > 0) == (y > 0.5)).sum().item() for x, y in loader)
    return right / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = InterestNetwork(masked=not buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(
            part(0, 10_200), 64, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(part(10_200, 10_800), 200, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    """As it is served: one user at a time, the history at its own length."""
    model.eval()
    right = 0
    rows = part(10_800, 12_000)
    with torch.no_grad():
        for history, candidate, liked in rows:
            logit = model(history[history != PAD][None], candidate[None])
            right += int((logit > 0) == (liked > 0.5))
    return right / len(rows)


def setup():
    return build(True)


def fixed():
    return build(False)
