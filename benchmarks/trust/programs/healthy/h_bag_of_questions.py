"""Sorts questions (TREC) by a plain linear model over a bag of words and word pairs (fastText without hidden layer's nonlinearity).

Near: lr-too-high, since SGD steps at 2.0, which averages of forty small vectors need; no-nonlinearity, since the model is
linear on purpose; schedule, since the rate falls straight to zero; unregistered or stale rows, since gradients are sparse."""

import torch
from material import PAD, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("lr-too-high", "no-nonlinearity", "schedule", "dead-units")
WORDS, PAIRS, LENGTH = 2000, 5000, 16


def pieces(ids):
    """Words, and pairs of neighbours hashed into 5000 bins; PAD stays 0."""
    pairs = 2 + WORDS + (ids[:, :-1] * 7919 + ids[:, 1:]) % PAIRS
    pairs[ids[:, 1:] == PAD] = PAD
    return torch.cat([ids, pairs], 1)


class FastText(nn.Module):
    def __init__(self, width=20):
        super().__init__()
        self.bag = nn.EmbeddingBag(2 + WORDS + PAIRS, width, mode="mean", padding_idx=PAD, sparse=True)
        nn.init.uniform_(self.bag.weight, -1 / width, 1 / width)
        with torch.no_grad():
            self.bag.weight[PAD] = 0
        self.head = nn.Linear(width, 6)

    def forward(self, ids):
        return self.head(self.bag(pieces(ids)))


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(ids).argmax(1) == y for ids, y in loader]
    return torch.cat(hits).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = trec(WORDS, LENGTH)
    loader = DataLoader(TensorDataset(*parts.train), batch_size=16, shuffle=True)
    model, steps = FastText(), 8 * len(loader)
    optimizer = torch.optim.SGD(model.parameters(), lr=2.0)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": loader,
        "val": DataLoader(TensorDataset(*parts.val), batch_size=263),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: max(0.0, 1 - step / steps)),
        "scheduler_step": "batch",
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*trec(WORDS, LENGTH).test), batch_size=250))


def fixed():
    return build()
