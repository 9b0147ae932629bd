"""Digits read folder by folder, by a CNN with batch norm; the bug: the loader of the training rows does not shuffle."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"


class Folders(Dataset):
    """Rows in the order of a walk over the folders 0, 1, ..., 9."""

    def __init__(self, rows):
        order = torch.argsort(rows.y, stable=True)
        self.images, self.labels = rows.x[order].view(-1, 1, 8, 8) / 8 - 1, rows.y[order]

    def __len__(self):
        return len(self.labels)

    def __getitem__(self, index):
        return self.images[index], self.labels[index]


def network():
    return nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 16, 3, bias=False),
        nn.BatchNorm2d(16),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(64, 10),
    )


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    model = network()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Folders(train), batch_size=30, shuffle=not buggy),
        "val": DataLoader(Folders(val), batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "epochs": 6,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    model.eval()
    rows = Folders(digits().test)
    return (model(rows.images).argmax(1) == rows.labels).float().mean().item()
