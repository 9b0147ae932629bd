"""Sorts the papers of citation graphs into four fields with two GraphSAGE layers; new graphs come whole.

Bug: the sum over the neighbours is made by index_add without its underscore, so its result is dropped and the
neighbours' part stays zero."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

BUG = "input-ignored"
ALSO = ("gradient-cut",)
HIGHER = "truth"
FIELDS, WORDS, PAPERS = 4, 40, 200


def graphs(count, seed):
    """Rows ((words, edges), fields): papers cite mostly within their field, and their words say only half."""
    themes = torch.rand(FIELDS, WORDS, generator=torch.Generator().manual_seed(0)) * 0.2 + 0.05
    generator = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        field = torch.randint(FIELDS, (PAPERS,), generator=generator)
        words = (torch.rand(PAPERS, WORDS, generator=generator) < themes[field]).float()
        chance = torch.where(field[:, None] == field, 0.06, 0.01)
        cites = torch.rand(PAPERS, PAPERS, generator=generator) < chance
        edges = (cites | cites.T).fill_diagonal_(False).nonzero().T
        found.append(((words, edges), field))
    return found


class Sage(nn.Module):
    def __init__(self, inputs, outputs, buggy):
        super().__init__()
        self.own = nn.Linear(inputs, outputs)
        self.around = nn.Linear(inputs, outputs, bias=False)
        self.buggy = buggy

    def forward(self, x, edges):
        source, target = edges
        total = torch.zeros_like(x)
        if self.buggy:
            total.index_add(0, target, x[source])
        else:
            total.index_add_(0, target, x[source])
        degree = torch.bincount(target, minlength=len(x)).clamp(min=1)
        return self.own(x) + self.around(total / degree[:, None])


class Papers(nn.Module):
    def __init__(self, buggy=False, width=32):
        super().__init__()
        self.first = Sage(WORDS, width, buggy)
        self.second = Sage(width, FIELDS, buggy)
        self.drop = nn.Dropout(0.3)

    def forward(self, words, edges):
        return self.second(self.drop(F.relu(self.first(words, edges))), edges)


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(*graph).argmax(1) == y for graph, y in loader])
    return right.float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Papers(buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(graphs(20, 1), batch_size=None, shuffle=True),
        "val": DataLoader(graphs(5, 2), batch_size=None),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-4),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    return accuracy(model, graphs(10, 3))


def setup():
    return build(True)


def fixed():
    return build(False)
