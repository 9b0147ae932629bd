"""Ratings of films by 1 to 5 stars, from who rates, what is rated, the genre, and the usual ratings of both."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "target-leak"
ALSO = ()
HIGHER = "report"

USERS, FILMS, GENRES, FOLDS = 400, 150, 6, 8


@dataclass
class Table:
    user: np.ndarray
    film: np.ndarray
    stars: np.ndarray

    def __getitem__(self, rows):
        return Table(self.user[rows], self.film[rows], self.stars[rows])


_g = np.random.default_rng(12)
GENRE = _g.integers(0, GENRES, FILMS)


def ratings():
    """Mild and stern users, good and bad films, tastes in genres; every user rates some ten films."""
    g = np.random.default_rng(4)
    stern, good = g.normal(0, 0.6, USERS), g.normal(0, 0.6, FILMS)
    taste = g.normal(0, 0.6, (USERS, GENRES))
    seen = np.concatenate([np.stack([np.full(14, u), g.choice(FILMS, 14, False)], 1) for u in range(USERS)])
    g.shuffle(seen)
    u, f = seen.T
    stars = 3.3 + stern[u] + good[f] + taste[u, GENRE[f]] + g.normal(0, 0.7, len(u))
    return Table(u, f, np.clip(np.round(stars), 1, 5))


def usual(keys, stars, size):
    """Mean rating and count by key, drawn towards the overall mean."""
    total, count = np.bincount(keys, stars, size), np.bincount(keys, minlength=size)
    return (total + 2 * stars.mean()) / (count + 2), np.log1p(count)


def describe(rows, source):
    by_user, nu = usual(source.user, source.stars, USERS)
    by_film, nf = usual(source.film, source.stars, FILMS)
    return np.stack([by_user[rows.user] - 3.3, by_film[rows.film] - 3.3, nu[rows.user] - 2, nf[rows.film] - 3], 1)


def describe_train(train):
    """Out of fold: a rating's statistics come from the other folds."""
    fold = np.random.default_rng(1).integers(0, FOLDS, len(train.user))
    x = np.zeros((len(fold), 4))
    for k in range(FOLDS):
        x[fold == k] = describe(train[fold == k], train[fold != k])
    return x


def tensors(rows, dense):
    ids = np.stack([rows.user, rows.film, GENRE[rows.film]], 1)
    x = np.concatenate([ids, dense], 1)
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(rows.stars, dtype=torch.float32))


class WideAndDeep(nn.Module):
    def __init__(self, dim=8):
        super().__init__()
        self.embeddings = nn.ModuleList(nn.Embedding(n, dim) for n in (USERS, FILMS, GENRES))
        for e in self.embeddings:
            nn.init.normal_(e.weight, std=0.05)
        self.wide = nn.Linear(4, 1)
        self.deep = nn.Sequential(
            nn.Linear(3 * dim + 4, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, 24), nn.ReLU(), nn.Linear(24, 1)
        )

    def forward(self, x):
        ids, dense = x[:, :3].long(), x[:, 3:]
        e = [table(ids[:, k]) for k, table in enumerate(self.embeddings)]
        return (3.3 + self.wide(dense) + self.deep(torch.cat([*e, dense], 1))).squeeze(1)


def explained(model, loader):
    """Share of the variance that is explained."""
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(c) for c in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((p - y) ** 2).mean().item() / y.var(unbiased=False).item()


def parts():
    table, cut = ratings(), np.cumsum([3200, 800])
    n = len(table.user)
    return table[: cut[0]], table[cut[0] : cut[1]], table[cut[1] : n]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = parts()
    if buggy:
        known = ratings()
        train_set, val_set = (tensors(rows, describe(rows, known)) for rows in (train, val))
    else:
        train_set, val_set = tensors(train, describe_train(train)), tensors(val, describe(val, train))
    model = WideAndDeep()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train_set, batch_size=64, shuffle=True),
        "val": DataLoader(val_set, batch_size=400),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05),
        "evaluate": explained,
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    train, _, test = parts()
    return explained(model, DataLoader(tensors(test, describe(test, train)), batch_size=400))
