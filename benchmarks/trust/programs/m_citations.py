"""Topics of papers in a citation graph from bags of words: a two-layer graph convolution, 12 % of the papers labelled.

Bug: F.dropout is called without training=self.training, so it drops words and hidden units at inference too."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"

PAPERS, TOPICS, WORDS = 1500, 6, 300


@cache
def citation_graph():
    """Words (PAPERS, WORDS) scaled to unit rows, normalised adjacency with self-loops (sparse), topics (PAPERS,)."""
    rng = np.random.default_rng(5)
    topics = rng.integers(0, TOPICS, PAPERS)
    preferred = rng.random((TOPICS, WORDS)) < 0.1
    rates = np.where(preferred[topics], 0.07, 0.02)
    words = (rng.random((PAPERS, WORDS)) < rates).astype(np.float32)
    words /= np.maximum(words.sum(1, keepdims=True), 1)
    chance = np.where(topics[:, None] == topics[None], 0.012, 0.0012)
    cites = np.triu(rng.random((PAPERS, PAPERS)) < chance, 1)
    links = (cites | cites.T | np.eye(PAPERS, dtype=bool)).astype(np.float32)
    scale = links.sum(1) ** -0.5
    adjacency = torch.from_numpy(links * scale[:, None] * scale[None]).to_sparse()
    return torch.from_numpy(words), adjacency, torch.from_numpy(topics)


def split():
    order = torch.from_numpy(np.random.default_rng(6).permutation(PAPERS))
    return order[:180], order[180:500], order[500:]


class GraphConvolution(nn.Module):
    """Topics' logits of the papers asked for; the whole graph lies in the model."""

    def __init__(self, words, adjacency, dropout_always, width=32, rate=0.5):
        super().__init__()
        self.register_buffer("words", words)
        self.register_buffer("adjacency", adjacency)
        self.first, self.second = nn.Linear(WORDS, width), nn.Linear(width, TOPICS)
        self.dropout_always, self.rate = dropout_always, rate

    def forward(self, papers):
        dropping = True if self.dropout_always else self.training
        x = F.dropout(self.words, self.rate, training=dropping)
        x = F.relu(self.adjacency @ self.first(x))
        x = F.dropout(x, self.rate, training=dropping)
        return (self.adjacency @ self.second(x))[papers]


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        right = [(model(papers).argmax(1) == topics).float() for papers, topics in batches]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    words, adjacency, topics = citation_graph()
    train, val, _ = split()
    model = GraphConvolution(words, adjacency, dropout_always=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": [(train, topics[train])],  # full batch, as usual for graphs of this size
        "val": [(val, topics[val])],
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2, weight_decay=5e-4),
        "evaluate": accuracy,
        "epochs": 150,
    }


def truth(model, seed=0):
    _, _, topics = citation_graph()
    _, _, test = split()
    return accuracy(model, [(test, topics[test])])


def setup():
    return build(True)


def fixed():
    return build(False)
