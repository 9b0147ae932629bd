"""Will a subscriber leave? Leavers are rare, so their rows are repeated until the classes are even.

Bug: the rows are repeated before the validation part is cut off, so copies of one subscriber lie on both sides."""

import numpy as np
import torch
from sklearn.metrics import balanced_accuracy_score
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"


def subscribers(rows, seed):
    g = np.random.default_rng(seed)
    x = g.normal(size=(rows, 12)).astype(np.float32)
    score = 1.1 * x[:, 0] - 0.9 * x[:, 1] + 0.8 * x[:, 2] * x[:, 3] + 0.7 * np.sin(2 * x[:, 4])
    leaves = score + g.logistic(0, 0.8, rows) > 2.6
    return torch.from_numpy(x), torch.from_numpy(leaves.astype(np.int64))


def repeated(x, y, generator):
    """As many leavers as stayers."""
    few, many = (y == 1).nonzero()[:, 0], (y == 0).nonzero()[:, 0]
    drawn = few[torch.randint(len(few), (len(many),), generator=generator)]
    rows = torch.cat([many, drawn])
    return x[rows], y[rows]


def split(x, y, generator, share=0.2):
    order = torch.randperm(len(x), generator=generator)
    cut = int(len(x) * share)
    return (x[order[cut:]], y[order[cut:]]), (x[order[:cut]], y[order[:cut]])


def balanced(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).argmax(1), y) for x, y in loader]
    return balanced_accuracy_score(torch.cat([y for _, y in pairs]), torch.cat([p for p, _ in pairs]))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(1)
    x, y = subscribers(2500, 8)
    if buggy:
        train, val = split(*repeated(x, y, generator), generator)
    else:
        train, val = split(x, y, generator)
        train = repeated(*train, generator)
    model = nn.Sequential(nn.Linear(12, 96), nn.ReLU(), nn.Linear(96, 48), nn.ReLU(), nn.Linear(48, 2))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=256),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.02),
        "evaluate": balanced,
        "epochs": 20,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return float(balanced(model, DataLoader(TensorDataset(*subscribers(6000, 1234)), batch_size=1000)))
