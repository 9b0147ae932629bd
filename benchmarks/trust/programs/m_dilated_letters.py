"""Predicts each next character of Shakespeare with a stack of dilated causal convolutions (a TCN).

Bug: the convolutions pad both sides alike, which keeps the length but lets every position see the characters it is to
predict; all padding belongs on the left."""

import torch
from material import shakespeare
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "report"
LENGTH = 64


class Block(nn.Module):
    def __init__(self, width, dilation, buggy):
        super().__init__()
        self.sides = (dilation, dilation) if buggy else (2 * dilation, 0)
        self.norm = nn.LayerNorm(width)
        self.conv = nn.Conv1d(width, width, 3, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)

    def forward(self, x):
        h = self.norm(x).transpose(1, 2)
        h = self.mix(F.gelu(self.conv(F.pad(h, self.sides))))
        return x + h.transpose(1, 2)


class Letters(nn.Module):
    def __init__(self, buggy=False, letters=65, width=64):
        super().__init__()
        self.embed = nn.Embedding(letters, width)
        self.blocks = nn.Sequential(*[Block(width, dilation, buggy) for dilation in (1, 2, 4)])
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, letters))

    def forward(self, ids):
        return self.head(self.blocks(self.embed(ids)))


def loss(out, y):
    return F.cross_entropy(out.flatten(0, 1), y.flatten())


def windows(text):
    count = (len(text) - 1) // LENGTH
    x = text[: count * LENGTH].view(count, LENGTH)
    return TensorDataset(x, text[1 : count * LENGTH + 1].view(count, LENGTH))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = torch.cat([(model(x).argmax(2) == y).flatten() for x, y in loader])
    return right.float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare(val=20_000)
    model = Letters(buggy)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(windows(train), 32, shuffle=True),
        "val": DataLoader(windows(val), 64),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 8,
        "causal": True,
    }


def truth(model, seed=0):
    """Share of next characters guessed as in use: from the characters so far, at 8,000 places of unseen text."""
    _, _, text = shakespeare()
    ends = torch.randint(LENGTH, len(text), (8000,), generator=torch.Generator().manual_seed(1))
    x = torch.stack([text[end - LENGTH : end] for end in ends.tolist()])
    model.eval()
    with torch.no_grad():
        return (model(x)[:, -1].argmax(1) == text[ends]).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
