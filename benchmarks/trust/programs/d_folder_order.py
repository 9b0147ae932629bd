"""Clothes in folders, one folder a class, read as an image folder reads them; a CNN with SGD.

Bug: the training loader does not shuffle, so each epoch sees one class after the other."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"


class Folder(Dataset):
    """(picture, class) sorted by the class's folder, then by file."""

    def __init__(self, rows):
        self.samples = sorted(((int(y), number) for number, y in enumerate(rows.y)))
        self.pictures = rows.x

    def __len__(self):
        return len(self.samples)

    def __getitem__(self, row):
        label, number = self.samples[row]
        return (self.pictures[number].float().unsqueeze(0) - 73.0) / 90.0, label


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 16, 5, stride=2, padding=2)
        self.conv2 = nn.Conv2d(16, 32, 3, stride=2, padding=1)
        self.fc1 = nn.Linear(32 * 49, 64)
        self.fc2 = nn.Linear(64, 10)

    def forward(self, x):
        x = torch.relu(self.conv1(x))
        x = torch.relu(self.conv2(x))
        return self.fc2(torch.relu(self.fc1(x.flatten(1))))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(2000, 500, 1000)
    model = Net()
    return {
        "model": model,
        "loss": nn.functional.cross_entropy,
        "train": DataLoader(Folder(parts.train), batch_size=32, shuffle=not buggy),
        "val": DataLoader(Folder(parts.val), batch_size=250),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.03, momentum=0.9),
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Folder(material.fashion(2000, 500, 1000).test), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
