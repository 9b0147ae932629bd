"""Retrieves articles for readers: two towers trained with in-batch negatives, judged by hit rate at 10.

Bug: the hit rate ranks the article read among the articles of its own batch only, not among the whole catalogue."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"

ARTICLES, TRAITS = 600, 10


@cache
def reading_log():
    """Readers' traits (N, TRAITS) and the article each read (N,); 9,000 rows, every article about equally often."""
    rng = np.random.default_rng(4)
    spirit = rng.normal(size=(ARTICLES, TRAITS))
    read = rng.integers(0, ARTICLES, 9000)
    readers = np.tanh(0.6 * spirit[read] + 0.5 * rng.normal(size=(9000, TRAITS)))
    return torch.tensor(readers, dtype=torch.float32), torch.from_numpy(read)


def part(begin, end):
    readers, read = (column[begin:end] for column in reading_log())
    return TensorDataset(readers, read)


def collate(rows):
    readers, read = (torch.stack(column) for column in zip(*rows, strict=True))
    return (readers, read), read


class TwoTowers(nn.Module):
    def __init__(self, width=32, temperature=0.1):
        super().__init__()
        self.reader = nn.Sequential(nn.Linear(TRAITS, 64), nn.ReLU(), nn.Linear(64, width))
        self.article = nn.Embedding(ARTICLES, width)
        self.temperature = temperature

    def forward(self, readers, articles):
        """Scores of every reader with every article, (readers, articles)."""
        ours, theirs = F.normalize(self.reader(readers), dim=1), F.normalize(self.article(articles), dim=1)
        return ours @ theirs.T / self.temperature


def in_batch_loss(scores, read):
    """Each reader's own article against the others of the batch; another copy of the same article is no negative."""
    own = torch.eye(len(read), dtype=torch.bool)
    same = read[:, None] == read[None]
    return F.cross_entropy(scores.masked_fill(same & ~own, float("-inf")), torch.arange(len(read)))


def make_hit_rate(whole_catalogue, k=10):
    def hit_rate(model, loader):
        model.eval()
        hits = 0
        with torch.no_grad():
            for (readers, _), read in loader:
                candidates = torch.arange(ARTICLES) if whole_catalogue else read.unique()
                best = candidates[model(readers, candidates).topk(k, dim=1).indices]
                hits += (best == read[:, None]).any(1).sum().item()
        return hits / len(loader.dataset)

    return hit_rate


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = TwoTowers()
    return {
        "model": model,
        "loss": in_batch_loss,
        "train": DataLoader(
            part(0, 7000), 128, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(part(7000, 8000), 128, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": make_hit_rate(whole_catalogue=not buggy),
        "epochs": 12,
    }


def truth(model, seed=0):
    return make_hit_rate(whole_catalogue=True)(model, DataLoader(part(8000, 9000), 128, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
