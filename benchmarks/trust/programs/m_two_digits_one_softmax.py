"""Which digits lie in a picture of two laid over each other: a question with many answers, asked of a softmax."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "wrong-loss"
ALSO = ()
HIGHER = "truth"


def overlaid(rows, seed):
    """Pictures (N, 1, 28, 28) of a row and another one, and which digits are there (N, 10)."""
    other = torch.randperm(len(rows.y), generator=torch.Generator().manual_seed(seed))
    x = torch.maximum(rows.x, rows.x[other]).unsqueeze(1).float() / 255
    y = torch.maximum(F.one_hot(rows.y, 10), F.one_hot(rows.y[other], 10)).float()
    return TensorDataset(x, y)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 5, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 4 * 4, 96),
            nn.ReLU(),
            nn.Linear(96, 10),
        )

    def forward(self, x):
        return self.net(x)

    @torch.no_grad()
    def tags(self, x):
        return torch.sigmoid(self(x)) > 0.5


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(train=3000)
    model = Tagger()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss() if buggy else nn.BCEWithLogitsLoss(),
        "train": DataLoader(overlaid(parts.train, 1), batch_size=50, shuffle=True),
        "val": DataLoader(overlaid(parts.val, 2), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    """F1 over all tags of all pictures."""
    x, y = overlaid(mnist().test, 3).tensors
    model.eval()
    said, there = model.tags(x), y.bool()
    return (2 * (said & there).sum() / (said.sum() + there.sum())).item()
