"""Ratings of films by viewers: factors of both and the film's kind go to a small network. Weight decay spares biases and tables.

Bug: the names that hold "table" are kept out of the decayed group, but the other group takes only biases, so no group has the tables."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"

VIEWERS, FILMS, KINDS = 300, 200, 8


def ratings():
    """Taste is of rank four, with films of a kind alike; 24,000 ratings of a viewer and a film drawn by chance."""
    rng = np.random.default_rng(51)
    kind = rng.integers(0, KINDS, FILMS)
    taste = rng.normal(size=(VIEWERS, 4))
    film = 0.7 * rng.normal(size=(KINDS, 4))[kind] + 0.7 * rng.normal(size=(FILMS, 4))
    pair = rng.permutation(VIEWERS * FILMS)[:24_000]
    viewer, shown = pair // FILMS, pair % FILMS
    stars = 3.2 + 0.45 * (taste[viewer] * film[shown]).sum(1) + 0.3 * rng.normal(size=FILMS)[shown]
    stars = stars + 0.3 * rng.normal(size=VIEWERS)[viewer] + rng.normal(0, 0.35, len(pair))
    columns = torch.tensor(np.stack([viewer, shown, kind[shown]], 1))
    stars = torch.tensor(stars, dtype=torch.float32).clamp(1, 5)
    return [(columns[a:b], stars[a:b]) for a, b in ((0, 18_000), (18_000, 20_000), (20_000, 24_000))]


class Ratings(Dataset):
    def __init__(self, columns, stars):
        self.columns, self.stars = columns, stars

    def __len__(self):
        return len(self.stars)

    def __getitems__(self, rows):
        viewer, film, kind = self.columns[rows].unbind(1)
        return {"viewer": viewer, "film": film, "kind": kind}, self.stars[rows]


class Taste(nn.Module):
    def __init__(self, mean, width=12):
        super().__init__()
        self.viewer_table = nn.Embedding(VIEWERS, width)
        self.film_table = nn.Embedding(FILMS, width)
        self.kind_table = nn.Embedding(KINDS, width)
        for table in (self.viewer_table, self.film_table, self.kind_table):
            nn.init.normal_(table.weight, 0, 0.3)
        self.mixer = nn.Sequential(nn.Linear(4 * width, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))
        nn.init.constant_(self.mixer[-1].bias, mean)

    def forward(self, viewer, film, kind):
        v, f, k = self.viewer_table(viewer), self.film_table(film), self.kind_table(kind)
        return self.mixer(torch.cat([v, f, k, v * (f + k)], 1)).squeeze(1)


def groups(model, buggy):
    named = list(model.named_parameters())
    decayed = [p for name, p in named if p.dim() > 1 and "table" not in name]
    if buggy:
        spared = [p for name, p in named if name.endswith("bias")]
    else:
        spared = [p for name, p in named if name.endswith("bias") or "table" in name]
    return [{"params": decayed, "weight_decay": 1e-2}, {"params": spared, "weight_decay": 0.0}]


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(**x), y) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).sum() / ((y - y.mean()) ** 2).sum())


def batches(rows, size, shuffle=False):
    return DataLoader(Ratings(*rows), batch_size=size, shuffle=shuffle, collate_fn=lambda batch: batch)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = ratings()
    model = Taste(float(train[1].mean()))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "optimizer": torch.optim.AdamW(groups(model, buggy), lr=4e-3),
        "train": batches(train, 128, shuffle=True),
        "val": batches(val, 500),
        "evaluate": r_squared,
        "epochs": 14,
    }


def truth(model, seed=0):
    return r_squared(model, batches(ratings()[2], 1000))


def setup():
    return build(True)


def fixed():
    return build(False)
