"""The sum of two digits, pairs drawn on the fly; the bug: each worker draws from a copy of the same generator."""

import numpy as np
import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset, get_worker_info

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"


def join(rows, left, right):
    x = torch.cat([rows.x[left].view(-1, 1, 8, 8), rows.x[right].view(-1, 1, 8, 8)], 3) / 16
    return x, rows.y[left] + rows.y[right]


class Pairs(IterableDataset):
    """All pairs are too many to store, so an epoch draws `count` of them, in batches of 40."""

    def __init__(self, rows, count, buggy):
        self.rows, self.count, self.buggy = rows, count, buggy
        self.rng = np.random.default_rng(1234)

    def __iter__(self):
        worker = get_worker_info()
        rng = self.rng if self.buggy else np.random.default_rng(worker.seed)
        for _ in range(self.count // worker.num_workers // 40):
            left, right = (torch.from_numpy(rng.integers(len(self.rows.y), size=40)) for _ in range(2))
            yield join(self.rows, left, right)


class Adder(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(16 * 32, 64), nn.ReLU()
        )
        self.head = nn.Linear(64, 19)

    def forward(self, x):
        return self.head(self.body(x))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    model = Adder()
    order = torch.arange(300)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Pairs(train, 1600, buggy), batch_size=None, num_workers=2),
        "val": DataLoader(TensorDataset(*join(val, order, order.roll(1))), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    rows = digits().test
    x, y = join(rows, torch.arange(597), torch.arange(597).roll(5))
    return (model(x).argmax(1) == y).float().mean().item()
