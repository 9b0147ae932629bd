"""A graph convolution net names each paper's field (semi-supervised, after Kipf and Welling) on a made citation graph.

Near: training and validation hold the very same inputs, one batch is the whole graph, and rows mix with one another;
the setting is transductive, the labels of the two parts are disjoint, and a node's neighbours are its features.
"""

import torch
import torch.nn.functional as F
from torch import nn

BUG = None
NEAR = ("split-overlap", "batch-mixing", "unshuffled", "label-noise")
PAPERS, FIELDS, WORDS, HIDDEN_LABEL = 900, 5, 120, -100


def citations():
    """Words (PAPERS, WORDS) of 0 and 1, the symmetric normalised adjacency with loops, the fields; the three parts."""
    g = torch.Generator().manual_seed(21)
    field = torch.randint(FIELDS, (PAPERS,), generator=g)
    same = field[:, None] == field[None]
    cites = torch.rand(PAPERS, PAPERS, generator=g) < torch.where(same, 0.022, 0.0018)
    edges = (cites.triu(1) | cites.triu(1).T).float() + torch.eye(PAPERS)
    root = edges.sum(1).rsqrt()
    topic = torch.rand(FIELDS, WORDS, generator=g) < 0.15
    words = torch.rand(PAPERS, WORDS, generator=g) < torch.where(topic[field], 0.12, 0.04)
    words = words.float()
    words = words / words.sum(1, keepdim=True).clamp(min=1)
    order = torch.randperm(PAPERS, generator=g)
    return words, root[:, None] * edges * root, field, order.split([150, 250, 500])


class GCN(nn.Module):
    def __init__(self, hidden=32):
        super().__init__()
        self.first = nn.Linear(WORDS, hidden, bias=False)
        self.second = nn.Linear(hidden, FIELDS)

    def forward(self, words, adjacency):
        x = F.dropout(words, 0.3, self.training)
        x = F.relu(adjacency @ self.first(x))
        x = F.dropout(x, 0.5, self.training)
        return adjacency @ self.second(x)


class WholeGraph:
    """A loader of one batch: the graph, and the labels of one part of the papers."""

    def __init__(self, part):
        words, adjacency, field, parts = citations()
        labels = torch.full_like(field, HIDDEN_LABEL)
        labels[parts[part]] = field[parts[part]]
        self.batch = ((words, adjacency), labels)

    def __len__(self):
        return 1

    def __iter__(self):
        yield self.batch


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    right = total = 0
    for inputs, labels in loader:
        known = labels != HIDDEN_LABEL
        right += (model(*inputs).argmax(1) == labels)[known].sum().item()
        total += known.sum().item()
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    model = GCN()
    decayed = [{"params": model.first.parameters(), "weight_decay": 5e-4}, {"params": model.second.parameters()}]
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(ignore_index=HIDDEN_LABEL),
        "train": WholeGraph(0),
        "val": WholeGraph(1),
        "optimizer": torch.optim.Adam(decayed, lr=1e-2),
        "evaluate": accuracy,
        "epochs": 150,
    }


def truth(model, seed=0):
    return accuracy(model, WholeGraph(2))


def fixed():
    return build()
