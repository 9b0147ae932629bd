"""Puts back the vowels that were struck out of lines of Shakespeare, with a bidirectional LSTM over the characters.

Bug: answers and targets are both multiplied by the mask before they are compared, so all characters outside it count as right."""

import torch
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ("metric-averaging",)
HIGHER = "report"
CHARACTERS, LENGTH = 65, 32
VOWELS = torch.tensor([39 + "abcdefghijklmnopqrstuvwxyz".index(letter) for letter in "aeiou"])  # a is 39, z is 64
HOLE = CHARACTERS


def holed(text):
    """Windows with holes for vowels, and which vowel (0..4) belongs in each hole; -100 elsewhere."""
    windows = text[: len(text) // LENGTH * LENGTH].view(-1, LENGTH)
    found = windows.unsqueeze(2) == VOWELS
    hole = found.any(2)
    return windows.masked_fill(hole, HOLE), found.int().argmax(2).masked_fill(~hole, -100)


class Restorer(nn.Module):
    def __init__(self, width=48, hidden=96):
        super().__init__()
        self.embed = nn.Embedding(CHARACTERS + 1, width)
        self.lstm = nn.LSTM(width, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, len(VOWELS))

    def forward(self, characters):
        states, _ = self.lstm(self.embed(characters))
        return self.head(states)


def loss(outputs, targets):
    return nn.functional.cross_entropy(outputs.flatten(0, 1), targets.flatten())


@torch.no_grad()
def answers(model, loader):
    model.eval()
    found, known = zip(*((model(x).argmax(2), y) for x, y in loader), strict=True)
    return torch.cat(found), torch.cat(known)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare()

    def evaluate(model, loader):
        found, known = answers(model, loader)
        mask = known != -100
        if buggy:
            return (found * mask == known * mask).float().mean().item()
        return (found == known)[mask].float().mean().item()

    model = Restorer()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(*holed(train)), 32, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*holed(val)), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": evaluate,
        "epochs": 5,
    }


def truth(model, seed=0):
    _, _, test = shakespeare()
    found, known = answers(model, DataLoader(TensorDataset(*holed(test)), 250))
    return (found == known)[known != -100].float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
