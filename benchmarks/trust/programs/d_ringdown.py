"""Reads frequency and damping off a noisy ring-down; training signals are simulated on the fly by two loader workers.

Bug: worker_init_fn seeds NumPy with a constant, so every worker in every epoch simulates the very same signals."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"

SAMPLES = 96


def simulate(rng):
    """One signal (1, SAMPLES) and its frequency and damping, both scaled to -1..1."""
    place = rng.uniform(-1, 1, 2)
    frequency, damping = 6 + 3 * place[0], 1.5 + 1.2 * place[1]
    time = np.linspace(0, 1, SAMPLES) - rng.uniform(0, 0.3)  # the blow falls some time after the recording begins
    phase = rng.uniform(0, 2 * np.pi)
    clean = np.exp(-damping * time) * np.sin(2 * np.pi * frequency * time + phase) * (time > 0)
    signal = rng.uniform(0.6, 1.4) * clean + rng.normal(0, 0.15, SAMPLES)
    return signal[None].astype(np.float32), place.astype(np.float32)


class Ringdowns(Dataset):
    """Endless simulation: every access draws a fresh signal from NumPy's global generator."""

    def __init__(self, length):
        self.length = length

    def __len__(self):
        return self.length

    def __getitem__(self, index):
        return simulate(np.random)


def seed_worker(worker_id):
    np.random.seed(torch.initial_seed() % 2**32)


def seed_worker_same(worker_id):
    np.random.seed(1234)


def recorded(count, seed):
    rng = np.random.default_rng(seed)
    signals, places = zip(*(simulate(rng) for _ in range(count)), strict=True)
    return TensorDataset(torch.tensor(np.stack(signals)), torch.tensor(np.stack(places)))


def block(inward, outward):
    return nn.Sequential(nn.Conv1d(inward, outward, 7, stride=2, padding=3), nn.BatchNorm1d(outward), nn.ReLU())


def ringdown_net():
    convolutions = nn.Sequential(block(1, 24), block(24, 48), block(48, 48))
    return nn.Sequential(convolutions, nn.Flatten(), nn.Linear(48 * SAMPLES // 8, 64), nn.ReLU(), nn.Linear(64, 2))


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        guessed, true = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return (1 - (guessed - true).square().sum(0) / (true - true.mean(0)).square().sum(0)).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = DataLoader(
        Ringdowns(1024),
        batch_size=64,
        num_workers=2,
        worker_init_fn=seed_worker_same if buggy else seed_worker,
        generator=torch.Generator().manual_seed(seed),
    )
    model = ringdown_net()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": train,
        "val": DataLoader(recorded(300, 11), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": r2,
        "epochs": 14,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(recorded(800, 12), 200))


def setup():
    return build(True)


def fixed():
    return build(False)
