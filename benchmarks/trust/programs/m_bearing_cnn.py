"""Condition monitoring at a pump maker: a 1-D CNN names the bearing's state from half a second of vibration.

Bug: the rate's exponential decay, meant for each epoch, is stepped after each batch.
"""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
STATES = ("sound", "outer race", "inner race", "imbalance")
RATE, SAMPLES = 1024, 512


def vibration(state, rng):
    """A shaft's hum and noise; race faults add ringing knocks, the inner race's swell with the shaft's turn."""
    t = np.arange(SAMPLES) / RATE
    shaft = rng.uniform(24, 30)
    turn = 2 * np.pi * shaft * t + rng.uniform(0, 2 * np.pi)
    signal = 0.5 * np.sin(turn) + 0.2 * np.sin(2 * turn + rng.uniform(0, 6)) + rng.normal(0, 0.6, SAMPLES)
    if STATES[state] == "imbalance":
        signal += rng.uniform(0.15, 0.45) * np.sin(turn)
    if STATES[state].endswith("race"):
        inner = STATES[state].startswith("inner")
        every = RATE / (shaft * (5.4 if inner else 3.6))
        strength = rng.uniform(0.8, 1.6)
        for knock in np.arange(rng.uniform(0, every), SAMPLES, every):
            begin = int(knock)
            after = np.arange(SAMPLES - begin)
            swell = 0.5 * (1 + np.sin(turn[begin])) if inner else 1.0
            signal[begin:] += 1.5 * strength * swell * np.exp(-after / 6) * np.sin(2 * np.pi * 260 * after / RATE)
    return signal.astype(np.float32)


class Vibrations(Dataset):
    def __init__(self, count, seed):
        rng = np.random.default_rng(seed)
        self.states = np.arange(count) % len(STATES)
        self.signals = np.stack([vibration(state, rng) for state in self.states])

    def __len__(self):
        return len(self.states)

    def __getitem__(self, index):
        return torch.from_numpy(self.signals[index])[None], int(self.states[index])


def stage(inside, outside, kernel, stride):
    return [
        nn.Conv1d(inside, outside, kernel, stride=stride, padding=kernel // 2, bias=False),
        nn.BatchNorm1d(outside),
        nn.ReLU(),
    ]


def make_model():
    return nn.Sequential(
        *stage(1, 16, 31, 4),
        *stage(16, 32, 9, 2),
        *stage(32, 32, 9, 2),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, len(STATES)),
    )


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = make_model()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            Vibrations(800, 1), batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(Vibrations(200, 2), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.85),
        "scheduler_step": "batch" if buggy else "epoch",
        "evaluate": accuracy,
        "epochs": 15,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(Vibrations(600, 3), batch_size=100))


def setup():
    return build(True)


def fixed():
    return build(False)
