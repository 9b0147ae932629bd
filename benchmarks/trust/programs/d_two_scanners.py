"""Reads handwritten digits from two scanners; the older one, which made most of the pictures, is blurred and noisy.

Bug: the metric averages the batches' accuracies, though the last batch is small (the few pictures of the good scanner)
and counts like a full one."""

import torch
from material import Rows, mnist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import ConcatDataset, DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ()
HIGHER = "report"


def old(x, seed):
    """What the older scanner makes of pictures in 0..1: washed out, with much grain."""
    grain = torch.randn(x.shape, generator=torch.Generator().manual_seed(seed))
    return (0.6 * F.avg_pool2d(x, 3, stride=1, padding=1) + 0.12 * grain).clamp(0, 1)


def scanned(rows, seed):
    """The first eight ninths from the older scanner, then the rest from the newer."""
    x = F.avg_pool2d(rows.x.float()[:, None] / 255, 2)
    cut = len(x) * 8 // 9
    return ConcatDataset([TensorDataset(old(x[:cut], seed), rows.y[:cut]), TensorDataset(x[cut:], rows.y[cut:])])


def scans():
    """2,000 pictures to train, 2,700 to validate and 5,400 to test, all from MNIST's training file."""
    train, held, _ = mnist(train=2000, val=8100, test=1)
    val, test = Rows(held.x[:2700], held.y[:2700]), Rows(held.x[2700:], held.y[2700:])
    return scanned(train, 1), scanned(val, 2), scanned(test, 3)


class Reader(nn.Sequential):
    def __init__(self, width=24):
        super().__init__(
            nn.Conv2d(1, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(width, width, 3, padding=1),
            nn.GroupNorm(4, width),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(9 * width, 10),
        )


def by_row(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def by_batch(model, loader):
    model.eval()
    with torch.no_grad():
        each = [(model(x).argmax(1) == y).float().mean().item() for x, y in loader]
    return sum(each) / len(each)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = scans()
    model = Reader()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 50, shuffle=True),
        "val": DataLoader(val, 1200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": by_batch if buggy else by_row,
        "epochs": 8,
    }


def truth(model, seed=0):
    return by_row(model, DataLoader(scans()[2], 1200))


def setup():
    return build(True)


def fixed():
    return build(False)
