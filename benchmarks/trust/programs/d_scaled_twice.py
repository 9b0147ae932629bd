"""Handwritten digits by an MLP with SGD; a `to_tensor` gives 0..1 and the data set then prepares the rows.

Bug: the data set divides by 255 once more, though `to_tensor` has done it."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


def to_tensor(picture):
    """uint8 0..255 to float 0..1 with a channel, as torchvision does."""
    return picture.float().div(255).unsqueeze(0)


class Digits(Dataset):
    def __init__(self, rows, divide):
        self.rows, self.divide = rows, divide

    def __len__(self):
        return len(self.rows.y)

    def __getitem__(self, row):
        x = to_tensor(self.rows.x[row])
        if self.divide:
            x = x / 255.0
        return x, self.rows.y[row]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10)
        )

    def forward(self, x):
        return self.layers(x)


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.mnist(2000, 500, 1000)
    model = Net()
    model.divide = buggy  # the same reading where the model is used
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Digits(parts.train, buggy), 32, shuffle=True),
        "val": DataLoader(Digits(parts.val, buggy), 250),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "evaluate": evaluate,
        "epochs": 6,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Digits(material.mnist(2000, 500, 1000).test, model.divide), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
