"""Spoken digits with mixup in the collate function and smoothed labels; targets of training are shares of classes.

Near: label-noise and augment-target, since training targets are blends; train-val-mismatch, since validation rows are
neither mixed nor masked; loss-input, since cross entropy takes shares here."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, default_collate

BUG = None
NEAR = ("label-noise", "augment-target", "train-val-mismatch", "loss-input")


class SpeechNet(nn.Module):
    def __init__(self, bands=43, width=48):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(bands, width, 5, padding=2), nn.BatchNorm1d(width), nn.ReLU(), nn.MaxPool1d(2)
        )
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, 10)

    def forward(self, frames):
        states, _ = self.gru(self.conv(frames.transpose(1, 2)).transpose(1, 2))
        return self.out(states.amax(1))


def mixup(rows):
    """Blends a batch with itself in another order, sounds and labels by the same share."""
    x, y = default_collate(rows)
    share = torch.distributions.Beta(0.3, 0.3).sample()
    other = torch.randperm(len(y))
    y = nn.functional.one_hot(y, 10).float()
    return share * x + (1 - share) * x[other], share * y + (1 - share) * y[other]


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(seed=0):
    torch.manual_seed(seed)
    parts = material.fsdd()
    mean, std = parts.train.x.mean(), parts.train.x.std()
    train, val = (TensorDataset((part.x - mean) / std, part.y) for part in (parts.train, parts.val))
    model = SpeechNet()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.1),
        "train": DataLoader(train, 30, shuffle=True, collate_fn=mixup, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    parts = material.fsdd()
    mean, std = parts.train.x.mean(), parts.train.x.std()
    return accuracy(model, DataLoader(TensorDataset((parts.test.x - mean) / std, parts.test.y), 100))


def fixed():
    return build()
