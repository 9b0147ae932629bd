"""Praise or blame by attention over words; a phrase of nothing but common words has nothing to attend."""

import torch
from material import PAD, sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "non-finite"
ALSO = ()
HIGHER = "truth"
STOP = 40  # ids below are the commonest words


class AttentivePool(nn.Module):
    def __init__(self, dim, hidden_score):
        super().__init__()
        self.score = nn.Linear(dim, 1)
        self.hidden_score = hidden_score

    def forward(self, words, keep):  # (B, T, dim), (B, T)
        scores = self.score(torch.tanh(words)).squeeze(-1)
        weights = scores.masked_fill(~keep, self.hidden_score).softmax(dim=-1)
        return (weights.unsqueeze(-1) * words).sum(dim=1)


class Opinion(nn.Module):
    def __init__(self, hidden_score, words=3000, dim=32):
        super().__init__()
        self.embed = nn.Embedding(words, dim, padding_idx=PAD)
        self.pool = AttentivePool(dim, hidden_score)
        self.head = nn.Sequential(nn.Linear(dim, 16), nn.ReLU(), nn.Linear(16, 2))

    def forward(self, ids):
        return self.head(self.pool(self.embed(ids), ids != PAD))


def without_common(rows):
    return TensorDataset(rows.x.masked_fill(rows.x < STOP, PAD), rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = sst2()
    model = Opinion(hidden_score=float("-inf") if buggy else -1e4)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(without_common(parts.train), batch_size=64, shuffle=True),
        "val": DataLoader(without_common(parts.val), batch_size=218),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    ids, praise = without_common(sst2().test).tensors
    return (model(ids).argmax(1) == praise).float().mean().item()
