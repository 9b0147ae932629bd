"""A WaveNet-like letter model of Shakespeare: gated dilated convolutions, residual and skip paths.

Bug: each convolution is padded on both sides ("same"), so a letter's logits see the letters that come after it."""

import torch
from material import shakespeare
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
LETTERS, LENGTH = 65, 48


class Windows(Dataset):
    """Windows of the text and the same shifted by a letter."""

    def __init__(self, text, stride):
        self.text, self.begins = text, range(0, len(text) - LENGTH, stride)

    def __len__(self):
        return len(self.begins)

    def __getitem__(self, row):
        begin = self.begins[row]
        return self.text[begin : begin + LENGTH], self.text[begin + 1 : begin + LENGTH + 1]


class Block(nn.Module):
    def __init__(self, width, dilation, both_sides):
        super().__init__()
        self.pad = (dilation, dilation) if both_sides else (2 * dilation, 0)
        self.gated = nn.Conv1d(width, 2 * width, 3, dilation=dilation)
        self.out = nn.Conv1d(width, width, 1)

    def forward(self, x):
        signal, gate = self.gated(F.pad(x, self.pad)).chunk(2, 1)
        return self.out(torch.tanh(signal) * torch.sigmoid(gate))


class Letters(nn.Module):
    def __init__(self, width=64, both_sides=False):
        super().__init__()
        self.embed = nn.Embedding(LETTERS, width)
        self.blocks = nn.ModuleList(Block(width, dilation, both_sides) for dilation in (1, 2, 4))
        self.head = nn.Sequential(nn.ReLU(), nn.Conv1d(width, LETTERS, 1))

    def forward(self, ids):
        x = self.embed(ids).transpose(1, 2)
        skips = 0
        for block in self.blocks:
            step = block(x)
            x, skips = x + step, skips + step
        return self.head(skips + x).transpose(1, 2)


def loss(outputs, targets):
    return F.cross_entropy(outputs.flatten(0, 1), targets.flatten())


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = letters = 0
    for ids, following in loader:
        right += (model(ids).argmax(2) == following).sum().item()
        letters += following.numel()
    return right / letters


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()
    model = Letters(both_sides=buggy)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            Windows(train, LENGTH), 32, shuffle=True, generator=torch.Generator().manual_seed(seed), drop_last=True
        ),
        "val": DataLoader(Windows(val, LENGTH), 64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 4,
        "causal": True,
    }


@torch.no_grad()
def truth(model, seed=0):
    """As one would write with it: the letter after the last one given, from nothing but those before."""
    model.eval()
    _, _, text = shakespeare()
    begins = range(0, len(text) - LENGTH, 7)
    prefixes = torch.stack([text[begin : begin + LENGTH] for begin in begins])
    following = torch.stack([text[begin + LENGTH] for begin in begins])
    found = torch.cat([model(part)[:, -1].argmax(1) for part in prefixes.split(256)])
    return (found == following).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
