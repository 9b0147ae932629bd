"""Handwritten digits streamed from shards, one shard a digit, through a shuffle buffer.

Bug: the buffer holds 48 rows, far less than a shard, so the stream still goes digit by digit."""

import random

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"


class Shards(IterableDataset):
    def __init__(self, rows, buffer, seed=0):
        self.shards = [rows.x[rows.y == digit] for digit in range(10)]
        self.buffer, self.random = buffer, random.Random(seed)

    def stream(self):
        for digit, shard in enumerate(self.shards):
            for picture in shard:
                yield picture.float().flatten() / 255 - 0.13, digit

    def __iter__(self):
        """Each row waits in the buffer and is drawn from it by chance, as webdataset does."""
        kept = []
        for row in self.stream():
            if len(kept) < self.buffer:
                kept.append(row)
                continue
            place = self.random.randrange(self.buffer)
            yield kept[place]
            kept[place] = row
        self.random.shuffle(kept)
        yield from kept


class Residual(nn.Module):
    def __init__(self, size):
        super().__init__()
        self.norm, self.a, self.b = nn.LayerNorm(size), nn.Linear(size, size), nn.Linear(size, size)

    def forward(self, x):
        return x + self.b(torch.relu(self.a(self.norm(x))))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.mnist(3000, 500, 1000)
    model = nn.Sequential(nn.Linear(784, 96), Residual(96), Residual(96), nn.LayerNorm(96), nn.Linear(96, 10))
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Shards(parts.train, 48 if buggy else 3000, seed), 50),
        "val": DataLoader([(x.float().flatten() / 255 - 0.13, y) for x, y in zip(*parts.val, strict=False)], 250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 6),
        "scheduler_step": "epoch",
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    x, y = material.mnist(3000, 500, 1000).test
    return evaluate(model, [(x.float().flatten(1) / 255 - 0.13, y)])


def setup():
    return build(True)


def fixed():
    return build(False)
