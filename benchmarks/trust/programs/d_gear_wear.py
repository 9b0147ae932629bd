"""Names a gearbox's fault by vibration spectra; the validation rows lie by the machine's age, as they were recorded.

Bug: the validation loader drops its last, incomplete batch, and with it the oldest and hardest recordings."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"
FAULTS = ("none", "tooth", "bearing", "shaft")


def recordings(rows, seed):
    """Log spectra (rows, 64) in order of age; the older the machine, the louder its other noises."""
    rng = np.random.default_rng(seed)
    age = np.sort(rng.random(rows))
    fault = rng.integers(0, len(FAULTS), rows)
    line = np.arange(64)
    x = np.zeros((rows, 64))
    for row in range(rows):
        speed = rng.uniform(0.92, 1.08)
        bump = lambda centre, width=1.2: np.exp(-(((line - centre * speed) / width) ** 2))  # noqa: B023 (called before the loop goes on)
        x[row] = bump(8) + 0.8 * bump(32)
        if fault[row] == 1:
            x[row] += 0.7 * (bump(26) + bump(38))
        if fault[row] == 2:
            x[row] += 0.7 * bump(47, 3)
        if fault[row] == 3:
            x[row] += 0.7 * (bump(16) + 0.5 * bump(24))
        x[row] += (0.15 + 1.1 * age[row] ** 4) * rng.normal(0, 1, 64)
    return torch.tensor(x, dtype=torch.float32), torch.tensor(fault)


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Unflatten(1, (1, 64)),
        nn.Conv1d(1, 16, 5, padding=2), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 16, 5, padding=2), nn.ReLU(),
        nn.Flatten(), nn.Dropout(0.2), nn.Linear(16 * 32, len(FAULTS)),
    )  # fmt: skip
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*recordings(1600, 131)), 32, shuffle=True),
        "val": DataLoader(TensorDataset(*recordings(900, 132)), 256, drop_last=buggy),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*recordings(2000, 133)), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
