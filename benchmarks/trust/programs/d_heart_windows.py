"""Tells from two-second windows of a simulated heart recording whether the patient has a widened beat (1-d CNN).

Bug: the windows, which overlap by three quarters, are cut from all recordings first and split at random afterwards."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
LENGTH, STRIDE, RATE = 128, 32, 64


def recording(rng, ill):
    """Eight seconds of one patient at 64 Hz; the shape of the beat is the patient's own."""
    time = np.arange(8 * RATE) / RATE
    beat, phase = rng.uniform(0.65, 1.1), rng.uniform(0, 1)
    where = ((time / beat + phase) % 1) * beat
    width = rng.normal(0.054 if ill else 0.034, 0.0075)
    signal = np.exp(-0.5 * ((where - 0.3) / width) ** 2) * rng.uniform(0.8, 1.3)
    signal += rng.normal(0.2, 0.12) * np.exp(-0.5 * ((where - 0.12) / rng.uniform(0.02, 0.06)) ** 2)
    signal += rng.normal(0.25, 0.15) * np.exp(-0.5 * ((where - 0.52) / rng.uniform(0.03, 0.09)) ** 2)
    signal += rng.normal(0, 0.15) * np.sin(2 * np.pi * rng.uniform(2, 9) * time + rng.uniform(0, 6))
    return signal + rng.normal(0, 0.05, len(time))


def patients(count, seed):
    """Windows (N, 1, 128), conditions (N,) and the patient of each window (N,)."""
    rng = np.random.default_rng(seed)
    windows, conditions, whose = [], [], []
    for patient in range(count):
        signal = recording(rng, patient % 2)
        for begin in range(0, len(signal) - LENGTH + 1, STRIDE):
            windows.append(signal[begin : begin + LENGTH])
            conditions.append(patient % 2)
            whose.append(patient)
    x = torch.tensor(np.array(windows), dtype=torch.float32).unsqueeze(1)
    return x, torch.tensor(conditions), torch.tensor(whose)


class Beats(nn.Module):
    def __init__(self):
        super().__init__()
        layers, before = [], 1
        for after in (16, 32, 48):
            layers += [nn.Conv1d(before, after, 7, padding=3), nn.BatchNorm1d(after), nn.ReLU(), nn.MaxPool1d(2)]
            before = after
        self.body = nn.Sequential(*layers, nn.AdaptiveAvgPool1d(4), nn.Flatten())
        self.head = nn.Linear(192, 2)

    def forward(self, x):
        return self.head(self.body(x))


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(hits).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y, whose = patients(120, 7)
    if buggy:
        held = torch.rand(len(x), generator=torch.Generator().manual_seed(3)) < 0.3
    else:
        chosen = torch.randperm(120, generator=torch.Generator().manual_seed(3))[:36]
        held = torch.isin(whose, chosen)
    model = Beats()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x[~held], y[~held]), 64, shuffle=True),
        "val": DataLoader(TensorDataset(x[held], y[held]), 256),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=25),
        "scheduler_step": "epoch",
        "evaluate": accuracy,
        "epochs": 25,
    }


def truth(model, seed=0):
    x, y, _ = patients(300, 8)
    return accuracy(model, DataLoader(TensorDataset(x, y), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
