"""Sounds of which some digits are rare (a long tail), drawn by a weighted sampler; judged by the mean recall.

Bug: a row's weight is the count of its class, not its inverse: what is common is drawn even more."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"


def long_tail(rows):
    """The first rows of each digit: 80 zeros, and fewer of each digit after it, down to about 8 nines."""
    keep = [torch.nonzero(rows.y == k).squeeze(1)[: int(80 * 0.775**k)] for k in range(10)]
    keep = torch.cat(keep)
    return rows.x[keep], rows.y[keep]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.fc = nn.Sequential(nn.Flatten(), nn.Dropout(0.2), nn.Linear(16 * 8 * 10, 10))

    def forward(self, x):
        return self.fc(self.conv(x[:, None]))


def scale(x):
    return (x + 6.0) / 5.0


@torch.no_grad()
def evaluate(model, loader):
    """Mean recall of the ten digits."""
    model.eval()
    guess, y = zip(*((model(x).argmax(1), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return sum((guess[y == k] == k).float().mean().item() for k in range(10)) / 10


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fsdd()
    x, y = long_tail(parts.train)
    counts = torch.bincount(y, minlength=10).double()
    weights = counts[y] if buggy else 1.0 / counts[y]
    sampler = WeightedRandomSampler(weights, num_samples=600, replacement=True)
    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(scale(x), y), 20, sampler=sampler),
        "val": DataLoader(TensorDataset(scale(parts.val.x), parts.val.y), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": evaluate,
        "epochs": 12,
    }


def truth(model, seed=0):
    test = material.fsdd().test
    return evaluate(model, [(scale(test.x), test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
