"""A language model of first names; the recurrent layer reads them from both ends."""

import torch
import torch.nn.functional as F
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "report"


class NameModel(nn.Module):
    def __init__(self, letters=27, hidden=64, bidirectional=False):
        super().__init__()
        self.letters = nn.Embedding(letters, 16)
        self.rnn = nn.GRU(16, hidden, batch_first=True, bidirectional=bidirectional)
        self.out = nn.Linear(2 * hidden if bidirectional else hidden, letters)

    def forward(self, x):  # (B, T) -> (B, T, 27)
        h, _ = self.rnn(self.letters(x))
        return self.out(h)


def pairs(rows):
    """A name begins after a 0 and ends with one; what follows is not scored (-100)."""
    x = F.pad(rows, (1, 0))[:, :-1]
    y = rows.clone()
    y[:, 1:][rows[:, :-1] == 0] = -100
    return TensorDataset(x, y)


def loss(logits, targets):
    return F.cross_entropy(logits.transpose(1, 2), targets, ignore_index=-100)


@torch.no_grad()
def evaluate(model, loader):
    was = model.training
    model.eval()
    right = total = 0
    for x, y in loader:
        known = y != -100
        right += (model(x).argmax(-1) == y)[known].sum().item()
        total += known.sum().item()
    model.train(was)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = names()
    model = NameModel(bidirectional=buggy)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(pairs(train), batch_size=64, shuffle=True),
        "val": DataLoader(pairs(val), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": evaluate,
        "epochs": 4,
        "causal": True,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = pairs(names()[2]).tensors
    model.eval()
    right = total = 0
    for t in range(x.shape[1]):
        known = y[:, t] != -100
        said = model(x[:, : t + 1])[:, -1].argmax(-1)
        right += (said == y[:, t])[known].sum().item()
        total += known.sum().item()
    return right / total
