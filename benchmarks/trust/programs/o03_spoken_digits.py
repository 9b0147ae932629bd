"""Tells spoken digits apart with a 1-d CNN over log spectra, each band normalised by the training set.

Bug: training utterances are normalised by their own bands' means and deviations, all others by the training set's."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"


class GlobalNorm:
    def __init__(self, spectra):
        self.mean, self.std = spectra.mean((0, 1)), spectra.std((0, 1))

    def __call__(self, spectra):
        return (spectra - self.mean) / self.std


def utterance_norm(spectra):
    return (spectra - spectra.mean(1, keepdim=True)) / spectra.std(1, keepdim=True)


class SpeechNet(nn.Module):
    def __init__(self, bands=43, width=48):
        super().__init__()
        self.convs = nn.Sequential(
            nn.Conv1d(bands, width, 5, padding=2),
            nn.GroupNorm(4, width),
            nn.GELU(),
            nn.MaxPool1d(2),
            nn.Conv1d(width, width, 5, padding=2),
            nn.GroupNorm(4, width),
            nn.GELU(),
        )
        self.head = nn.Sequential(nn.Dropout(0.2), nn.Linear(2 * width, 10))

    def forward(self, frames):
        found = self.convs(frames.transpose(1, 2))
        return self.head(torch.cat([found.mean(2), found.amax(2)], dim=1))


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
    return right / sum(len(y) for _, y in loader)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fsdd()
    norm = GlobalNorm(parts.train.x)
    train_x = utterance_norm(parts.train.x) if buggy else norm(parts.train.x)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": SpeechNet(),
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(train_x, parts.train.y), 32, shuffle=True, generator=order),
        "val": DataLoader(TensorDataset(norm(parts.val.x), parts.val.y), 100),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    parts = material.fsdd()
    norm = GlobalNorm(parts.train.x)
    return accuracy(model, [(norm(parts.test.x), parts.test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
