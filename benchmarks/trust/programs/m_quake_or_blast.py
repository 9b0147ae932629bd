"""Tells earthquakes from quarry blasts by three-component seismograms, whose amplitudes span three decades.

Bug: the network scales by the peak of the whole batch instead of by each seismogram's own."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"
SAMPLES = 160


def seismograms(rows, seed):
    """Counts (rows, 3, 160); quakes (1) have a strong shear wave after the first arrival, blasts (0) a strong first one."""
    g = torch.Generator().manual_seed(seed)
    uniform = lambda low, high, *more: low + (high - low) * torch.rand(rows, *more, generator=g)
    y = (torch.rand(rows, generator=g) < 0.5).long()
    t = torch.arange(SAMPLES).float()
    first, gap = uniform(10, 30, 1, 1), uniform(35, 70, 1, 1)
    ratio = torch.where(y == 1, uniform(0.9, 2.5), uniform(0.25, 1.1)).view(-1, 1, 1)

    def arrival(at, decay, period):
        after = (t - at).clamp(0)
        phase = uniform(0, 2 * math.pi, 3, 1)
        shape = torch.exp(-after / decay) * (1 - torch.exp(-after / 2))
        return shape * torch.sin(2 * math.pi * after / period + phase) * uniform(0.5, 1.0, 3, 1)

    clean = arrival(first, 18, uniform(4, 7, 1, 1)) + ratio * arrival(first + gap, 25, uniform(7, 12, 1, 1))
    noisy = clean + 0.1 * torch.randn(rows, 3, SAMPLES, generator=g)
    return noisy * 10 ** uniform(1, 4, 1, 1), y


class Discriminator(nn.Module):
    def __init__(self, whole_batch=False):
        super().__init__()
        self.whole_batch = whole_batch
        self.net = nn.Sequential(
            nn.Conv1d(3, 16, 9, stride=2, padding=4), nn.ReLU(),
            nn.Conv1d(16, 32, 7, stride=2, padding=3), nn.ReLU(),
            nn.Conv1d(32, 32, 5, stride=2, padding=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(32 * 20, 48), nn.ReLU(), nn.Linear(48, 2),
        )  # fmt: skip

    def forward(self, counts):
        peak = counts.abs().amax() if self.whole_batch else counts.abs().amax((1, 2), keepdim=True)
        return self.net(counts / (peak + 1e-9))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Discriminator(whole_batch=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*seismograms(1500, 51)), 32, shuffle=True),
        "val": DataLoader(TensorDataset(*seismograms(400, 52)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*seismograms(1000, 53)), 100))


def setup():
    return build(True)


def fixed():
    return build(False)
