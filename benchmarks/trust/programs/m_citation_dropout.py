"""Tells the field of each paper of a made-up citation graph from its words and neighbours: a two-layer graph convolution.

Bug: dropout is called as a function without the model's mode, so it goes on when the model is evaluated."""

from functools import cache

import torch
import torch.nn.functional as F
from torch import nn

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"
PAPERS, FIELDS, WORDS = 1500, 6, 120


@cache
def graph():
    """Words (papers, 120) in 0/1, the normalised adjacency (sparse), fields, and a permutation of the papers."""
    g = torch.Generator().manual_seed(11)
    field = torch.randint(FIELDS, (PAPERS,), generator=g)
    usual = 0.03 + 0.10 * (torch.rand(FIELDS, WORDS, generator=g) < 0.15)
    words = torch.bernoulli(usual[field], generator=g)
    chance = torch.where(field[:, None] == field[None], 0.010, 0.0010)
    edges = torch.bernoulli(chance, generator=g).triu(1)
    adjacency = edges + edges.T + torch.eye(PAPERS)
    scale = adjacency.sum(1).rsqrt()
    return words, (scale[:, None] * adjacency * scale).to_sparse(), field, torch.randperm(PAPERS, generator=g)


def part(name):
    cut = {"train": slice(0, 300), "val": slice(300, 600), "test": slice(600, None)}[name]
    return graph()[3][cut]


class GraphNet(nn.Module):
    """Answers the logits of the papers asked for; the graph is its own."""

    def __init__(self, always=False, width=32, dropout=0.6):
        super().__init__()
        words, adjacency, _, _ = graph()
        self.register_buffer("words", words / words.sum(1, keepdim=True).clamp(min=1))
        self.register_buffer("adjacency", adjacency)
        self.first, self.second = nn.Linear(WORDS, width), nn.Linear(width, FIELDS)
        self.dropout, self.always = dropout, always

    def drop(self, x):
        if self.always:
            return F.dropout(x, self.dropout)
        return F.dropout(x, self.dropout, training=self.training)

    def forward(self, papers):
        hidden = torch.relu(self.adjacency @ self.first(self.drop(self.words)))
        return (self.adjacency @ self.second(self.drop(hidden)))[papers]


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(papers).argmax(1) == y).float() for papers, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    field = graph()[2]
    model = GraphNet(always=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": [(part("train"), field[part("train")])],
        "val": [(part("val"), field[part("val")])],
        "optimizer": torch.optim.Adam(model.parameters(), lr=0.01, weight_decay=5e-4),
        "evaluate": accuracy,
        "epochs": 200,
    }


def truth(model, seed=0):
    torch.manual_seed(seed)
    return accuracy(model, [(part("test"), graph()[2][part("test")])])


def setup():
    return build(True)


def fixed():
    return build(False)
