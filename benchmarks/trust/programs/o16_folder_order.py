"""Tells five kinds of clothes apart; validation pictures come in the order of their class folders.

Bug: the validation loader drops its last, smaller batch, and with it the pictures of the last folder."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"
FOLDERS = {"bag": 8, "coat": 4, "dress": 3, "pullover": 2, "shirt": 6}  # in the order of a sorted walk


class Folders(Dataset):
    """Pictures class by class, as a walk through the sorted folders finds them."""

    def __init__(self, rows):
        found = [(rows.y == label).nonzero().squeeze(1) for label in FOLDERS.values()]
        self.x = rows.x[torch.cat(found)]
        self.y = torch.cat([torch.full_like(places, number) for number, places in enumerate(found)])

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return self.x[row].float().flatten() / 255, self.y[row]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(784, 64),
            nn.LayerNorm(64),
            nn.ReLU(),
            nn.Dropout(0.3),
            nn.Linear(64, len(FOLDERS)),
        )

    def forward(self, x):
        return self.layers(x)


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(4000, 1000, 3000)
    order = torch.Generator().manual_seed(seed)
    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Folders(parts.train), 50, shuffle=True, generator=order),
        "val": DataLoader(Folders(parts.val), 200, drop_last=buggy),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(Folders(material.fashion(4000, 1000, 3000).test), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
