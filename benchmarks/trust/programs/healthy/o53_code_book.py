"""A vector-quantised autoencoder of small digits: codes snap to the nearest of a learnt book, gradients pass straight.

Near: gradient-cut, since three tensors are detached on purpose (straight-through and the two halves of the code loss);
dead-units, since some entries of the book may stay unused."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "dead-units")


class CodeBook(nn.Module):
    """Four code words of eight numbers for a digit."""

    def __init__(self, entries=32, words=4, size=8, width=96):
        super().__init__()
        self.words, self.size = words, size
        self.encoder = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, words * size))
        self.book = nn.Parameter(0.5 * torch.randn(words, entries, size))
        self.decoder = nn.Sequential(nn.Linear(words * size, width), nn.ReLU(), nn.Linear(width, 64))

    def forward(self, x):
        code = self.encoder(x).view(-1, self.words, self.size)
        far = (code[:, :, None] - self.book).square().sum(3)
        nearest = self.book[torch.arange(self.words), far.argmin(2)]
        passed = code + (nearest - code).detach()
        return self.decoder(passed.flatten(1)), code, nearest


def loss(outputs, x):
    pixels, code, nearest = outputs
    book = (nearest - code.detach()).square().mean()
    commit = (code - nearest.detach()).square().mean()
    return (pixels - x).square().mean() + 0.2 * book + 0.05 * commit


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[0], x) for x, _ in loader]
    out, x = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (1 - (out - x).square().sum() / (x - x.mean(0)).square().sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = material.digits()
    train, val = (TensorDataset(part.x / 16, part.x / 16) for part in (parts.train, parts.val))
    model = CodeBook()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 30, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 40,
    }


def truth(model, seed=0):
    x = material.digits().test.x / 16
    return explained(model, [(x, x)])


def fixed():
    return build()
