"""A siamese net that says whether two handwritten digits are the same; the data set draws its pairs as it goes.

Bug: the data set's generator is copied into every worker, so that both draw the same pairs, and again in each epoch."""

import numpy as np
import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, Dataset, get_worker_info

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"


class Pairs(Dataset):
    """`count` pairs an epoch, half of them of one class."""

    def __init__(self, x, y, count, seed):
        self.x, self.y, self.count = ((x.float() / 255 - 0.13) / 0.31)[:, None], y, count
        self.places = [np.flatnonzero(y.numpy() == c) for c in range(10)]
        self.rng = np.random.default_rng(seed)

    def __len__(self):
        return self.count

    def __getitem__(self, i):
        a = int(self.rng.integers(10))
        same = int(self.rng.integers(2))
        b = a if same else (a + int(self.rng.integers(1, 10))) % 10
        left, right = (int(self.rng.choice(self.places[c])) for c in (a, b))
        return (self.x[left], self.x[right]), torch.tensor(float(same))


def fresh_generator(worker):
    get_worker_info().dataset.rng = np.random.default_rng(torch.initial_seed() % 2**32)


class Siamese(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2, padding=2),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 49, 32),
        )
        self.head = nn.Sequential(nn.Linear(64, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, left, right):
        a, b = self.encoder(left), self.encoder(right)
        return self.head(torch.cat([(a - b).abs(), a * b], 1)).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(2000, 500, 1000)
    net = Siamese()
    train = DataLoader(
        Pairs(*parts.train, 800, seed),
        batch_size=40,
        num_workers=2,
        multiprocessing_context="fork",
        worker_init_fn=None if buggy else fresh_generator,
    )
    held = Pairs(*parts.val, 400, 77)
    val = [held[i] for i in range(400)]
    return {
        "model": net,
        "loss": nn.BCEWithLogitsLoss(),
        "train": train,
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(net.parameters(), lr=1e-3),
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    pairs = Pairs(*mnist(2000, 500, 1000).test, 1500, 5)
    rows = [pairs[i] for i in range(1500)]
    left, right = (torch.stack([r[0][k] for r in rows]) for k in (0, 1))
    return ((model(left, right) > 0).float() == torch.stack([r[1] for r in rows])).float().mean().item()
