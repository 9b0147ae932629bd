"""A letter model of first names: a stack of dilated causal convolutions, trained to name the next letter at each place.

Bug: the convolutions pad both sides instead of only the left, so that a place sees the letters it is to predict."""

import torch
from material import names
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ("target-leak",)
HIGHER = "report"
START = 27


class Causal(nn.Module):
    def __init__(self, width, dilation, buggy):
        super().__init__()
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation)
        self.norm = nn.LayerNorm(width)
        self.pad = (dilation, dilation) if buggy else (2 * dilation, 0)

    def forward(self, x):
        inner = self.norm(x).transpose(1, 2)
        return x + F.gelu(self.conv(F.pad(inner, self.pad))).transpose(1, 2)


class Letters(nn.Module):
    def __init__(self, buggy, width=64):
        super().__init__()
        self.embed = nn.Embedding(28, width)
        self.blocks = nn.Sequential(*(Causal(width, dilation, buggy) for dilation in (1, 2, 4)))
        self.head = nn.Linear(width, 27)

    def forward(self, x):
        return self.head(self.blocks(self.embed(x)))


def shifted(rows):
    """Inputs begin with START; a target is -1 after the name's end."""
    inputs = torch.cat([torch.full((len(rows), 1), START), rows[:, :-1]], 1)
    ended = (inputs == 0).cummax(1).values
    return inputs, rows.masked_fill(ended, -1)


def next_letter(scores, targets):
    return F.cross_entropy(scores.flatten(0, 1), targets.flatten(), ignore_index=-1)


@torch.no_grad()
def hits(model, loader):
    model.eval()
    right = known = 0
    for x, y in loader:
        kept = y >= 0
        right += (model(x).argmax(2) == y)[kept].sum().item()
        known += kept.sum().item()
    return right / known


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = names()
    model = Letters(buggy)
    return {
        "model": model,
        "loss": next_letter,
        "train": DataLoader(TensorDataset(*shifted(train)), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*shifted(val)), batch_size=250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01),
        "evaluate": hits,
        "epochs": 5,
        "causal": True,
    }


@torch.no_grad()
def truth(model, seed=0):
    """Hits at the place after a prefix, when the letters to come are not there yet."""
    model.eval()
    x, y = shifted(names()[2])
    right = known = 0
    for length in range(1, x.shape[1] + 1):
        prefix = F.pad(x[:, :length], (0, x.shape[1] - length))
        kept = y[:, length - 1] >= 0
        right += (model(prefix)[:, length - 1].argmax(1) == y[:, length - 1])[kept].sum().item()
        known += kept.sum().item()
    return right / known


def setup():
    return build(True)


def fixed():
    return build(False)
