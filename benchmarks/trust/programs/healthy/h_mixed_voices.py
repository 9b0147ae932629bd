"""Spoken digits with mixup: the collate function mixes each clip with another of its batch, and their labels alike.

Near: training targets are soft mixtures, no clip in training has one certain digit, rows of a batch are blended on
purpose, and validation clips are unmixed; cross-entropy takes probabilities as targets."""

import numpy as np
import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

BUG = None
NEAR = ("label-noise", "batch-mixing", "train-val-mismatch", "augment-target")


class Mixer:
    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def __call__(self, rows):
        x, y = default_collate(rows)
        share = float(self.rng.beta(0.4, 0.4))
        other = torch.from_numpy(self.rng.permutation(len(x)))
        soft = nn.functional.one_hot(y, 10).float()
        return share * x + (1 - share) * x[other], share * soft + (1 - share) * soft[other]


def as_pictures(rows):
    """Spectra as one channel, scaled by figures of the training set that are about -8 and 4 throughout."""
    return TensorDataset((rows.x.unsqueeze(1) + 8) / 4, rows.y)


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = fsdd()
    model = nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2, padding=2), nn.BatchNorm2d(12), nn.ReLU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.BatchNorm2d(24), nn.ReLU(),
        nn.Flatten(), nn.Linear(24 * 8 * 11, 10),
    )  # fmt: skip
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(as_pictures(parts.train), 32, shuffle=True, collate_fn=Mixer(seed)),
        "val": DataLoader(as_pictures(parts.val), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(as_pictures(fsdd().test), 100))


def fixed():
    return build()
