"""Names the mineral of a Raman spectrum; each specimen is scanned at eight spots in turn, and overexposed scans are left out.

Bug: the overexposed scans are left out of the spectra only, so that each later spectrum slips to the label before its own."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"
MINERALS = {  # wave numbers of the bands and their strengths
    "quartz": [(206, 0.4), (464, 1.0), (355, 0.2)],
    "calcite": [(281, 0.5), (712, 0.3), (1086, 1.0)],
    "dolomite": [(299, 0.5), (725, 0.2), (1098, 1.0)],
    "gypsum": [(414, 0.3), (494, 0.3), (1008, 1.0)],
    "anhydrite": [(417, 0.3), (498, 0.4), (1017, 1.0)],
    "albite": [(291, 0.4), (479, 0.6), (507, 1.0)],
}
AXIS = np.linspace(150, 1200, 140)


def measure(specimens, seed):
    """Counts (scans, 140) in the order of the session, clipped at 60,000 where overexposed, and the minerals."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, len(MINERALS), specimens).repeat(8)
    counts = np.empty((len(labels), len(AXIS)))
    for scan, label in enumerate(labels):
        drift, width = rng.normal(0, 2.5), rng.uniform(7, 12)
        bands = list(MINERALS.values())[label]
        spectrum = sum(a * rng.uniform(0.6, 1.2) * np.exp(-(((AXIS - c - drift) / width) ** 2)) for c, a in bands)
        background = rng.uniform(0.2, 1.5) * np.exp(-AXIS / rng.uniform(400, 1500))
        exposure = 200_000 if rng.random() < 0.012 else 10_000
        counts[scan] = exposure * (spectrum + background + rng.normal(0, 0.12, len(AXIS)))
    return counts.clip(max=60_000), labels


def good(counts, labels, keep_all_labels=False):
    sound = counts.max(1) < 60_000
    x = counts[sound]
    y = labels[: len(x)] if keep_all_labels else labels[sound]
    x = (x - x.mean(1, keepdims=True)) / x.std(1, keepdims=True)
    return TensorDataset(torch.tensor(x, dtype=torch.float32).unsqueeze(1), torch.tensor(y))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val = good(*measure(120, 1), keep_all_labels=buggy), good(*measure(30, 2), keep_all_labels=buggy)
    model = nn.Sequential(
        nn.Conv1d(1, 16, 7, padding=3), nn.BatchNorm1d(16), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 5, padding=2), nn.BatchNorm1d(32), nn.ReLU(), nn.MaxPool1d(2),
        nn.Flatten(), nn.Linear(32 * 35, len(MINERALS)),
    )  # fmt: skip
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 32, shuffle=True),
        "val": DataLoader(val, 120),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(good(*measure(80, 3)), 200))


def setup():
    return build(True)


def fixed():
    return build(False)
