"""Recognises spoken digits from few recordings, each multiplied by small shifts in time, loudness and noise.

Bug: the split into training and validation draws single copies, so copies of one recording lie on both sides."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
RECORDINGS, COPIES = 400, 4


def scaled(x):
    """Log power, silence near -13.8, to about zero mean and unit spread; bands become channels."""
    return ((x + 7.0) / 4.0).transpose(1, 2)


def copies():
    """COPIES variants of each recording, their digits, and the number of the recording that each was made of."""
    parts = fsdd()
    x, y = torch.cat([parts.train.x, parts.val.x])[:RECORDINGS], torch.cat([parts.train.y, parts.val.y])[:RECORDINGS]
    generator = torch.Generator().manual_seed(5)
    made = []
    for row in x:
        for _ in range(COPIES):
            shift = int(torch.randint(0, 3, (), generator=generator))
            loud = 0.3 * torch.randn((), generator=generator)
            moved = torch.cat([row[:1].expand(shift, -1), row[: len(row) - shift]])
            made.append(moved + loud + 0.2 * torch.randn(row.shape, generator=generator))
    return scaled(torch.stack(made)), y.repeat_interleave(COPIES), torch.arange(RECORDINGS).repeat_interleave(COPIES)


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y, recording = copies()
    group = torch.arange(len(x)) if buggy else recording
    order = torch.randperm(int(group.max()) + 1, generator=torch.Generator().manual_seed(3))
    val = torch.isin(group, order[: len(order) // 4])
    model = nn.Sequential(
        nn.Conv1d(43, 48, 3, padding=1),
        nn.GroupNorm(6, 48),
        nn.GELU(),
        nn.MaxPool1d(2),
        nn.Conv1d(48, 64, 3, padding=1),
        nn.GroupNorm(8, 64),
        nn.GELU(),
        nn.AdaptiveAvgPool1d(4),
        nn.Flatten(),
        nn.Dropout(0.3),
        nn.Linear(256, 10),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x[~val], y[~val]), 40, shuffle=True),
        "val": DataLoader(TensorDataset(x[val], y[val]), 200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    x, y = fsdd().test
    return accuracy(model, DataLoader(TensorDataset(scaled(x), y), 300))


def setup():
    return build(True)


def fixed():
    return build(False)
