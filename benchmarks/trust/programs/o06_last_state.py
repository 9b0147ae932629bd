"""Sorts questions, padded to 24 words, by the last state of an LSTM; batches are dicts.

Bug: the state is taken at the padded end of every row instead of at its last word."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"


class Questions(Dataset):
    def __init__(self, ids, labels):
        self.ids, self.labels = ids, labels
        self.lengths = (ids != material.PAD).sum(1).clamp(min=1)

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, row):
        return {"ids": self.ids[row], "lengths": self.lengths[row]}, self.labels[row]


class LastState(nn.Module):
    def __init__(self, at_length, words=2000, width=48, classes=6):
        super().__init__()
        self.at_length = at_length
        self.embed = nn.Embedding(words, width, padding_idx=material.PAD)
        self.lstm = nn.LSTM(width, width, batch_first=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(width, classes)

    def forward(self, ids, lengths):
        states, _ = self.lstm(self.embed(ids))
        last = states[torch.arange(len(ids)), lengths - 1] if self.at_length else states[:, -1]
        return self.out(self.drop(last))


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(**x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.trec(length=24)
    model = LastState(at_length=not buggy)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Questions(*parts.train), 64, shuffle=True, generator=order),
        "val": DataLoader(Questions(*parts.val), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": accuracy,
        "epochs": 4,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(Questions(*material.trec(length=24).test), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
