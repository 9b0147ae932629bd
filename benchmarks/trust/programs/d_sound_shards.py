"""Spoken digits streamed from shards by an IterableDataset that mixes them through a shuffle buffer.

Bug: the shards are stored digit by digit and the shuffle buffer holds 16 clips, so that batches hold one digit or two."""

import random

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"


class Shards(IterableDataset):
    """Streams the clips of all shards; a buffer of `room` clips stands between the disk and the batches."""

    def __init__(self, x, y, room, seed):
        self.shards = [(x[y == digit], digit) for digit in range(10)]
        self.room, self.random = room, random.Random(seed)

    def __iter__(self):
        held = []
        for clips, digit in self.shards:
            for clip in clips:
                held.append((clip, digit))
                if len(held) >= self.room:
                    yield held.pop(self.random.randrange(len(held)))
        self.random.shuffle(held)
        yield from held


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.squeeze = nn.Sequential(nn.Linear(43, 32), nn.ReLU())
        self.memory = nn.GRU(32, 48, batch_first=True, bidirectional=True)
        self.name = nn.Linear(96, 10)

    def forward(self, frames):
        states, _ = self.memory(self.squeeze(frames))
        return self.name(states.amax(1))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fsdd()
    mean, deviation = parts.train.x.mean((0, 1)), parts.train.x.std((0, 1))
    room = 16 if buggy else 1024
    model = Listener()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Shards((parts.train.x - mean) / deviation, parts.train.y, room, seed), 32),
        "val": DataLoader(TensorDataset((parts.val.x - mean) / deviation, parts.val.y), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    parts = fsdd()
    mean, deviation = parts.train.x.mean((0, 1)), parts.train.x.std((0, 1))
    return accuracy(model, DataLoader(TensorDataset((parts.test.x - mean) / deviation, parts.test.y), 100))


def setup():
    return build(True)


def fixed():
    return build(False)
