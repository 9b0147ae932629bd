"""A letter model of first names, a GRU with tied embeddings; what comes next in a name can only be guessed so well."""

import torch
import torch.nn.functional as F
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("label-noise",)


def shifted(x):
    """Inputs begin with a start mark (27); after the end of a name nothing is asked (-100)."""
    ended = (x == 0).long().cumsum(1) > 1
    start = torch.full((len(x), 1), 27)
    return torch.cat([start, x[:, :-1]], 1), x.masked_fill(ended, -100)


class Namer(nn.Module):
    def __init__(self, d=48):
        super().__init__()
        self.emb = nn.Embedding(28, d)
        nn.init.normal_(self.emb.weight, std=0.2)
        self.rnn = nn.GRU(d, d, batch_first=True)
        self.out = nn.Linear(d, 28)
        self.out.weight = self.emb.weight

    def forward(self, x):
        return self.out(self.rnn(self.emb(x))[0])


def loss(logits, y):
    return F.cross_entropy(logits.transpose(1, 2), y)


@torch.no_grad()
def guessed(model, loader):
    model.eval()
    right = total = 0
    for x, y in loader:
        asked = y >= 0
        right += (model(x).argmax(2) == y)[asked].sum().item()
        total += asked.sum().item()
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = names(3000, 600, 1000)
    net = Namer()
    return {
        "model": net,
        "loss": loss,
        "train": DataLoader(TensorDataset(*shifted(train)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*shifted(val)), batch_size=200),
        "optimizer": torch.optim.Adam(net.parameters(), lr=4e-3),
        "evaluate": guessed,
        "epochs": 4,
        "causal": True,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    return guessed(model, DataLoader(TensorDataset(*shifted(names(3000, 600, 1000)[2])), batch_size=200))
