"""Which defect a bearing has, from a vibration window; three of the four kinds are rare, so the loss is weighted.

Bug: the class weights are each class's share of the rows rather than its inverse, so rare kinds count less still."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "class-imbalance"
ALSO = ("wrong-loss",)
HIGHER = "truth"

SHARE = (0.82, 0.09, 0.06, 0.03)
TONE = (0.0, 0.11, 0.17, 0.26)  # cycles a sample of the ringing that a defect adds


def windows(count, seed):
    """Noise and the shaft's hum; a defect adds a train of decaying rings."""
    rng = np.random.default_rng(seed)
    kind = rng.choice(4, count, p=SHARE)
    t = np.arange(128)
    x = rng.normal(0, 1, (count, 128)) + np.sin(0.3 * t + rng.uniform(0, 6.3, (count, 1)))
    for row in np.flatnonzero(kind):
        for start in range(rng.integers(0, 40), 128, 40):
            since = t - start
            ring = np.where(since >= 0, np.exp(-since / 12) * np.sin(2 * np.pi * TONE[kind[row]] * since), 0)
            x[row] += rng.uniform(1.3, 2.6) * ring
    return torch.tensor(x[:, None], dtype=torch.float32), torch.tensor(kind)


def network():
    return nn.Sequential(
        nn.Conv1d(1, 16, 15, padding=7),
        nn.BatchNorm1d(16),
        nn.ReLU(),
        nn.MaxPool1d(2),
        nn.Conv1d(16, 32, 9, padding=4),
        nn.BatchNorm1d(32),
        nn.ReLU(),
        nn.AdaptiveAvgPool1d(1),
        nn.Flatten(),
        nn.Linear(32, 4),
    )


def balanced_accuracy(model, batches):
    """The mean over the kinds of the share found of each."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).argmax(1), y) for x, y in batches]
    said, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(torch.stack([(said[y == kind] == kind).float().mean() for kind in y.unique()]).mean())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = windows(2000, 21)
    counts = torch.bincount(y, minlength=4).float()
    weight = 4 * counts / counts.sum() if buggy else counts.sum() / (4 * counts)
    model = network()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(weight=weight),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        "train": DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*windows(800, 22)), batch_size=200),
        "evaluate": balanced_accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, [windows(2000, 23)])


def setup():
    return build(True)


def fixed():
    return build(False)
