"""Do two pictures show the same piece of clothing? A siamese network on pairs that two workers draw, 800 new ones an
epoch.

Bug: worker_init_fn seeds numpy with one fixed number "to be reproducible", so both workers draw the same 400 pairs,
every epoch."""

import material
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"


class Pairs(Dataset):
    """`count` pairs an epoch, half of them of one class; numpy's global generator draws, as in most siamese code."""

    def __init__(self, rows, count):
        self.x = (rows.x.float()[:, None] / 255 - 0.286) / 0.353
        self.of_class = [np.flatnonzero(rows.y.numpy() == k) for k in range(10)]
        self.count = count

    def __len__(self):
        return self.count

    def __getitem__(self, row):
        same = np.random.rand() < 0.5
        first = np.random.randint(10)
        second = first if same else (first + np.random.randint(1, 10)) % 10
        a, b = (np.random.choice(self.of_class[k]) for k in (first, second))
        return (self.x[a], self.x[b]), np.float32(same)


def seed_fixed(worker):
    np.random.seed(2024)


def seed_own(worker):
    """torch gives each worker of each epoch its own seed."""
    np.random.seed(torch.initial_seed() % 2**32)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 49, 64),
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, a, b):
        return self.head((self.body(a) - self.body(b)).abs()).squeeze(1)


def frozen_pairs(rows, count):
    """Pairs that are the same in every run, to judge by."""
    rng = np.random.default_rng(9)
    y = rows.y.numpy()
    same = rng.random(count) < 0.5
    a = rng.integers(0, len(y), count)
    b = np.array([rng.choice(np.flatnonzero((y == y[k]) if s else (y != y[k]))) for k, s in zip(a, same, strict=False)])
    x = (rows.x.float()[:, None] / 255 - 0.286) / 0.353
    return [((x[i], x[j]), np.float32(s)) for i, j, s in zip(a, b, same, strict=False)]


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([((model(*x) > 0) == (y > 0.5)).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(2000, 500, 1000)
    model = Siamese()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(
            Pairs(parts.train, 800), 32, num_workers=2, worker_init_fn=seed_fixed if buggy else seed_own
        ),
        "val": DataLoader(frozen_pairs(parts.val, 500), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 12,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(frozen_pairs(material.fashion(2000, 500, 1000).test, 2000), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
