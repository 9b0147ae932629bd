"""Measures the pitch of a short noisy tone from signals that two workers simulate afresh, with a 1-d CNN.

Bug: each worker's random numbers begin at the same fixed seed, in every epoch: all see the same few tones over and over."""

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, get_worker_info

BUG = "worker-seeds"
ALSO = ("split-overlap",)
HIGHER = "truth"
LENGTH, TONES, WORKERS = 48, 640, 2


def tone(rng):
    pitch = rng.uniform(-1, 1)
    cycles = 6 + 4 * pitch
    wave = np.sin(2 * math.pi * (cycles * np.arange(LENGTH) / LENGTH + rng.uniform())) * rng.uniform(0.5, 1.5)
    return (wave + rng.normal(0, 0.5, LENGTH)).astype("f4"), np.float32(pitch)


class Tones(IterableDataset):
    def __init__(self, count, buggy):
        self.count, self.buggy = count, buggy

    def __iter__(self):
        worker = get_worker_info()
        seed, share = (worker.seed, worker.num_workers) if worker else (torch.initial_seed(), 1)
        rng = np.random.default_rng(0 if self.buggy else seed)
        for _ in range(self.count // share):
            yield tone(rng)


def held_out(count, seed):
    rng = np.random.default_rng(seed)
    x, y = zip(*(tone(rng) for _ in range(count)), strict=True)
    return torch.from_numpy(np.stack(x)), torch.tensor(np.array(y))


class Pitch(nn.Module):
    def __init__(self):
        super().__init__()
        self.ear = nn.Sequential(nn.Conv1d(1, 16, 9, padding=4), nn.ReLU(), nn.Conv1d(16, 24, 9, stride=2), nn.ReLU())
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(480, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, x):
        return self.head(self.ear(x.unsqueeze(1))).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Pitch()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(Tones(TONES, buggy), batch_size=32, num_workers=WORKERS, multiprocessing_context="fork"),
        "val": DataLoader(list(zip(*held_out(300, 123), strict=True)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 15,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = held_out(1000, 456)
    return 1 - ((model(x) - y).square().mean() / y.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
