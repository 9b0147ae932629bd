"""Estimates the energy of a made-up particle shower from its set of hits, by attention over hits of varying number.

Bug: the hits that merely fill a batch up take part in the softmax of the pooling."""

from functools import cache

import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"


@cache
def showers(count, seed):
    """Hits (n, 4), of 3 to 40: place in three directions and charge, all about zero; log energy."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        n = int(torch.randint(3, 41, (1,), generator=g))
        depth, width = torch.randn(2, generator=g)
        hits = torch.randn(n, 4, generator=g)
        hits[:, 0] = hits[:, 0] * 0.5 + depth
        hits[:, 1:3] = hits[:, 1:3] * torch.exp(0.4 * width)
        share = torch.softmax(hits[:, 3] * 1.5, 0)
        energy = (share * hits[:, 0]).sum() + hits[:, 1:3].norm(dim=1).mean() + 0.1 * torch.randn((), generator=g)
        found.append((hits, energy))
    return found


def collate(rows):
    """Hits padded to the longest of the batch with zeros, and which of them are real."""
    hits = nn.utils.rnn.pad_sequence([row[0] for row in rows], batch_first=True)
    real = torch.arange(hits.shape[1]) < torch.tensor([len(row[0]) for row in rows])[:, None]
    return (hits, real), torch.stack([row[1] for row in rows])


class Pooled(nn.Module):
    def __init__(self, masked, width=48):
        super().__init__()
        self.hit = nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.score = nn.Linear(width, 4)
        self.head = nn.Sequential(nn.Linear(4 * width, 32), nn.ReLU(), nn.Linear(32, 1))
        self.masked = masked

    def forward(self, hits, real):
        h = self.hit(hits)
        score = self.score(h)
        if self.masked:
            score = score.masked_fill(~real[..., None], float("-inf"))
        pooled = torch.einsum("bnk,bnd->bkd", score.softmax(1), h)
        return self.head(pooled.flatten(1)).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Pooled(masked=not buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(
            showers(2000, 1), 50, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(showers(400, 2), 100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 15,
    }


@torch.no_grad()
def r2(model, loader):
    model.eval()
    pairs = [(model(*inputs), energy) for inputs, energy in loader]
    guess, energy = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((guess - energy) ** 2).mean().item() / energy.var(correction=0).item()


def truth(model, seed=0):
    return r2(model, DataLoader(showers(1000, 3), 100, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
