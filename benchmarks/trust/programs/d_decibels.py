"""Spoken digits by a GRU over spectra; the training spectra come from a cache on disk, the others are made on the fly.

Bug: the cache was written in decibels, while validation and use give natural logarithms; the statistics are the
cache's."""

import math

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"


def cached(spectra, decibels):
    """What the job that filled the cache wrote."""
    return spectra * 10 / math.log(10) if decibels else spectra


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mean", torch.zeros(43))
        self.register_buffer("std", torch.ones(43))
        self.gru = nn.GRU(43, 64, batch_first=True)
        self.head = nn.Linear(64, 10)

    def standardise(self, spectra):
        return (spectra - self.mean) / self.std

    def forward(self, x):
        out, _ = self.gru(x)
        return self.head(out.mean(1))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fsdd()
    sounds = cached(parts.train.x, decibels=buggy)
    model = Listener()
    model.mean.copy_(sounds.mean((0, 1)))
    model.std.copy_(sounds.std((0, 1)))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(TensorDataset(model.standardise(sounds), parts.train.y), 30, shuffle=True),
        "val": DataLoader(TensorDataset(model.standardise(parts.val.x), parts.val.y), 150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 15,
    }


def truth(model, seed=0):
    test = material.fsdd().test
    return evaluate(model, [(model.standardise(test.x), test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
