"""Learns the inverse of a simulator: from the seen oscillation of a damped spring to its stiffness and damping.
Each epoch simulates 500 new springs in two workers.

Bug: the simulator's generator is made once, in the constructor; each worker of each epoch starts from a copy of it,
so the same 250
springs come twice an epoch for ever."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"
TIME = np.linspace(0, 6, 40)


def simulate(rng):
    stiff, damp = rng.uniform(1, 9), rng.uniform(0.05, 0.8)
    phase, size = rng.uniform(0, 2 * np.pi), rng.uniform(0.5, 1.5)
    wave = size * np.exp(-damp * TIME) * np.cos(np.sqrt(stiff) * TIME + phase) + 0.05 * rng.normal(size=40)
    target = np.array([(stiff - 5) / 2.31, (damp - 0.425) / 0.2165])
    return wave.astype(np.float32), target.astype(np.float32)


class Springs(IterableDataset):
    """`count` springs an epoch, shared by the workers."""

    def __init__(self, count, seed, reseed):
        self.count, self.reseed = count, reseed
        self.rng = np.random.default_rng(seed)

    def __iter__(self):
        worker = get_worker_info()
        rng = np.random.default_rng(worker.seed) if self.reseed else self.rng
        for _ in range(self.count // worker.num_workers):
            yield simulate(rng)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(40, 128), nn.ReLU(), nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))

    def forward(self, x):
        return self.net(x)


def held_out(count, seed):
    rng = np.random.default_rng(seed)
    x, y = zip(*(simulate(rng) for _ in range(count)), strict=False)
    return torch.from_numpy(np.stack(x)), torch.from_numpy(np.stack(y))


@torch.no_grad()
def evaluate(model, loader):
    """Mean R² of stiffness and damping."""
    model.eval()
    guess, y = zip(*((model(x), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return (1 - (guess - y).square().sum(0) / (y - y.mean(0)).square().sum(0)).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Net()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Springs(500, seed, reseed=not buggy), 20, num_workers=2),
        "val": DataLoader(torch.utils.data.TensorDataset(*held_out(300, 1001)), 150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 24,
    }


def truth(model, seed=0):
    return evaluate(model, [held_out(1500, 1002)])


def setup():
    return build(True)


def fixed():
    return build(False)
