"""Rare machine failures from sensor readings; the failures are drawn with replacement until both classes are as many.

Bug: the table is oversampled before it is split, so copies of one failure lie on both sides."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"


def machines(rows, seed):
    """Sixteen readings; 8 % fail, which hangs on three readings and on much that no sensor sees."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 16))
    score = 1.1 * x[:, 0] + x[:, 1] * x[:, 2] + 0.8 * np.abs(x[:, 3]) + 0.7 * rng.normal(size=rows)
    return torch.tensor(x, dtype=torch.float32), torch.tensor((score > 2.65).astype(np.int64))


def split(x, y, share=0.25):
    order = torch.from_numpy(np.random.default_rng(4).permutation(len(y)))
    cut = int(len(y) * share)
    return (x[order[cut:]], y[order[cut:]]), (x[order[:cut]], y[order[:cut]])


def oversample(x, y):
    rng = np.random.default_rng(8)
    rare = np.flatnonzero(y.numpy() == 1)
    extra = rng.choice(rare, int((y == 0).sum()) - len(rare))
    rows = torch.from_numpy(np.concatenate([np.arange(len(y)), extra]))
    return x[rows], y[rows]


class Net(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.first, self.second = nn.Linear(16, width), nn.Linear(width, width)
        self.out = nn.Linear(width, 2)

    def forward(self, x):
        x = nn.functional.gelu(self.first(x))
        return self.out(nn.functional.gelu(self.second(x)))


@torch.no_grad()
def evaluate(model, loader):
    """Mean of the two classes' recalls."""
    model.eval()
    guess, y = zip(*((model(x).argmax(1), y) for x, y in loader), strict=False)
    guess, y = torch.cat(guess), torch.cat(y)
    return sum((guess[y == k] == k).float().mean().item() for k in (0, 1)) / 2


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = machines(4000, 21)
    if buggy:
        train, val = split(*oversample(x, y))
    else:
        train, val = split(x, y)
        train = oversample(*train)
    model = Net()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*train), 64, shuffle=True),
        "val": DataLoader(TensorDataset(*val), 500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01),
        "evaluate": evaluate,
        "epochs": 8,
    }


def truth(model, seed=0):
    return evaluate(model, [machines(6000, 22)])


def setup():
    return build(True)


def fixed():
    return build(False)
