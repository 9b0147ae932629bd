"""Sentiment of film phrases: a gate weighs the words, small embeddings of which are trained at a rate of their own.

Bug: the embeddings' group is left out of the optimiser."""

import torch
from material import PAD, sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ("frozen-parameters",)
HIGHER = "truth"


class Gated(nn.Module):
    def __init__(self, words=3000, width=16):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PAD)
        self.gate = nn.Linear(width, 1)
        self.read = nn.Sequential(nn.Linear(width, 32), nn.ReLU(), nn.Dropout(0.2), nn.Linear(32, 2))

    def forward(self, ids):
        h = self.embed(ids)
        weight = self.gate(h).squeeze(-1).masked_fill(ids == PAD, float("-inf")).softmax(1)
        return self.read((weight.unsqueeze(-1) * h).sum(1))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = sst2()
    model = Gated()
    groups = [
        {"params": model.gate.parameters(), "lr": 2e-3},
        {"params": model.read.parameters(), "lr": 2e-3},
    ]
    if not buggy:
        groups.append({"params": model.embed.parameters(), "lr": 4e-3})
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*parts.train), 64, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), 218),
        "optimizer": torch.optim.Adam(groups),
        "evaluate": accuracy,
        "epochs": 5,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*sst2().test), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
