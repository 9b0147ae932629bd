"""Tells a patient's condition from a bag of eight blood tests with a Deep Sets network; tests are grouped by patient.

Bug: np.unique answers the patients in the order of their numbers, the conditions stand in the order of admission, and
for half of the patients, who came over from another ward, these orders differ."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"
TESTS, KINDS = 8, 4


def hospital(count, seed):
    """A long table of tests, (patient number, 5 values), and the conditions by order of admission."""
    rng = np.random.default_rng(seed)
    old = count // 2
    numbers = np.concatenate([np.arange(old), old + rng.permutation(count - old)]) + 10_000
    conditions = rng.integers(0, KINDS, count)
    centre = np.random.default_rng(0).normal(0, 0.5, (KINDS, 5))
    spread = np.random.default_rng(5).uniform(0.7, 1.3, (KINDS, 5))
    values = centre[conditions][:, None] + spread[conditions][:, None] * rng.normal(0, 1, (count, TESTS, 5))
    return np.repeat(numbers, TESTS), values.reshape(-1, 5), numbers, conditions


def bags(table, buggy):
    """Tests by patient (N, 8, 5) with the conditions (N,)."""
    owner, values, numbers, conditions = table
    known = np.unique(owner)
    x = np.stack([values[owner == number] for number in known])
    if not buggy:
        place = {number: row for row, number in enumerate(numbers)}
        conditions = np.array([conditions[place[number]] for number in known])
    return torch.tensor(x, dtype=torch.float32), torch.tensor(conditions)


class DeepSets(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(5, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.whole = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, KINDS))

    def forward(self, bag):
        return self.whole(self.each(bag).mean(1))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = DeepSets()
    rows = TensorDataset(*bags(hospital(1000, 1), buggy))
    train, val = torch.utils.data.random_split(rows, (800, 200), torch.Generator().manual_seed(0))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 30,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = bags(hospital(1500, 3), buggy=False)
    return (model(x).argmax(1) == y).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
