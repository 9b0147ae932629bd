"""Writes first names letter by letter with a dilated 1-d CNN: the output at a letter foretells the next one.

Bug: the convolutions pad both sides alike, so that a letter's output sees the letters after it."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
LETTERS = 27


class Block(nn.Module):
    def __init__(self, width, dilation, causal):
        super().__init__()
        self.reach = (2 * dilation, 0) if causal else (dilation, dilation)
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x):
        return x + self.mix(torch.relu(self.conv(nn.functional.pad(x, self.reach))))


class NameTCN(nn.Module):
    def __init__(self, causal, width=48):
        super().__init__()
        self.embed = nn.Embedding(LETTERS, width)
        self.blocks = nn.Sequential(*(Block(width, dilation, causal) for dilation in (1, 2, 4)))
        self.out = nn.Conv1d(width, LETTERS, 1)

    def forward(self, letters):
        return self.out(self.blocks(self.embed(letters).transpose(1, 2))).transpose(1, 2)


def pairs(names):
    """A name begins after an end (0) and foretells its letters and its first end; -100 after that."""
    inputs = nn.functional.pad(names[:, :-1], (1, 0))
    past_end = nn.functional.pad((names == 0).long().cumsum(1)[:, :-1], (1, 0)) > 0
    return TensorDataset(inputs, names.masked_fill(past_end, -100))


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten(), ignore_index=-100)


def accuracy(model, loader):
    model.eval()
    right = letters = 0
    with torch.no_grad():
        for x, y in loader:
            real = y != -100
            right += (model(x).argmax(2) == y)[real].sum().item()
            letters += real.sum().item()
    return right / letters


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = material.names(6000, 500, 500)
    model = NameTCN(causal=not buggy)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(pairs(train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(pairs(val), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 5,
        "causal": True,
    }


def truth(model, seed=0):
    """Share of next letters told from nothing but the letters so far."""
    x, y = pairs(material.names(6000, 500, 500)[2]).tensors
    model.eval()
    right = letters = 0
    with torch.no_grad():
        for t in range(x.shape[1]):
            real = y[:, t] != -100
            if real.any():
                right += (model(x[real, : t + 1])[:, -1].argmax(1) == y[real, t]).sum().item()
                letters += real.sum().item()
    return right / letters


def setup():
    return build(True)


def fixed():
    return build(False)
