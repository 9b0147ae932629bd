"""Tells whether a noisy radar trace holds a rising or a falling chirp; the training traces are simulated on the fly.

Bug: every worker seeds numpy with the same constant at the begin of each epoch, so the workers draw the same traces and
every epoch repeats them."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"
LENGTH = 96


def trace(rng):
    """One trace and its class: a faint short chirp at a random place in noise, 1 where its pitch rises."""
    label = int(rng.randint(2))
    span = np.linspace(0, 1, 40)
    low, high = rng.uniform(0.04, 0.08), rng.uniform(0.18, 0.26)
    pitch = low + (high - low) * (span if label else 1 - span)
    chirp = np.sin(2 * np.pi * (np.cumsum(pitch) + rng.uniform())) * np.hanning(40)
    x = rng.normal(scale=0.6, size=LENGTH)
    begin = rng.randint(LENGTH - 40)
    x[begin : begin + 40] += 1.2 * chirp
    return x.astype(np.float32)[None], label


class Simulated(Dataset):
    def __len__(self):
        return 600

    def __getitem__(self, row):
        return trace(np.random)


def held_out(count, seed):
    rng = np.random.RandomState(seed)
    x, y = zip(*[trace(rng) for _ in range(count)], strict=True)
    return TensorDataset(torch.tensor(np.stack(x)), torch.tensor(y))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)

    def seed_worker(worker):
        np.random.seed(seed if buggy else torch.initial_seed() % 2**32)

    model = nn.Sequential(
        nn.Conv1d(1, 24, 9, padding=4),
        nn.BatchNorm1d(24),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(24, 32, 9, padding=4),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.Conv1d(32, 32, 9, padding=4),
        nn.ReLU(),
        nn.AdaptiveMaxPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 2),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Simulated(), 50, num_workers=2, worker_init_fn=seed_worker),
        "val": DataLoader(held_out(500, 101), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 20,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(held_out(1500, 202), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
