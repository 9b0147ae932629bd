"""Names pieces of clothing (Fashion-MNIST) from shards, one a class, that are streamed through a shuffle buffer.

Bug: the buffer holds 100 pictures, while a shard holds 150, so a batch shows one or two classes only."""

import random

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"


class Stream(IterableDataset):
    """Reads shard after shard; pictures leave a buffer of `size` at random."""

    def __init__(self, shards, size, seed):
        self.shards, self.size, self.random = shards, size, random.Random(seed)

    def __len__(self):
        return sum(len(y) for _, y in self.shards)

    def __iter__(self):
        buffer = []
        for x, y in self.random.sample(self.shards, len(self.shards)):
            for row in zip(x, y, strict=True):
                buffer.append(row)
                if len(buffer) > self.size:
                    yield buffer.pop(self.random.randrange(len(buffer)))
        self.random.shuffle(buffer)
        yield from buffer


def tensors(rows):
    return rows.x.unsqueeze(1).float() / 127.5 - 1, rows.y


def network():
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(600, 64),
        nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(x).argmax(1) == y for x, y in loader]
    return torch.cat(hits).float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion(1500, 500, 1000)
    x, y = tensors(parts.train)
    shards = [(x[y == kind], y[y == kind]) for kind in range(10)]
    model = network()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Stream(shards, 100 if buggy else 1500, seed), batch_size=25),
        "val": DataLoader(TensorDataset(*tensors(parts.val)), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*tensors(fashion(1500, 500, 1000).test)), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
