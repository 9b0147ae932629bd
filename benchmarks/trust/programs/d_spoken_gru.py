"""Recognises spoken digits from log spectra with a bidirectional GRU and mean pooling.

Bug: the spectra are scaled by 1/255, as a picture would be, so the inputs hardly differ from each other."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"
PARTS = fsdd()
MEAN, STD = PARTS.train.x.mean((0, 1)), PARTS.train.x.std((0, 1))


class Spoken(Dataset):
    def __init__(self, rows, transform):
        self.rows, self.transform = rows, transform

    def __len__(self):
        return len(self.rows.y)

    def __getitem__(self, index):
        return self.transform(self.rows.x[index]), self.rows.y[index]


class Recogniser(nn.Module):
    def __init__(self, transform):
        super().__init__()
        self.transform = transform  # kept for whoever serves the model
        self.gru = nn.GRU(43, 48, batch_first=True, bidirectional=True)
        self.head = nn.Linear(96, 10)

    def forward(self, frames):
        return self.head(self.gru(frames)[0].mean(1))


def standardised(frames):
    return (frames - MEAN) / STD


def as_picture(frames):
    return frames / 255


def build(buggy, seed=0):
    torch.manual_seed(seed)
    transform = as_picture if buggy else standardised
    model = Recogniser(transform)

    def evaluate(model, loader):
        model.eval()
        with torch.no_grad():
            hits = sum((model(x).argmax(1) == y).sum().item() for x, y in loader)
        return hits / len(loader.dataset)

    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Spoken(PARTS.train, transform), 32, shuffle=True),
        "val": DataLoader(Spoken(PARTS.val, transform), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 6,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x = torch.stack([model.transform(frames) for frames in PARTS.test.x])
    return (model(x).argmax(1) == PARTS.test.y).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
