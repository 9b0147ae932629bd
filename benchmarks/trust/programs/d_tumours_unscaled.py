"""Benign or malignant from 30 measures between 0.001 and 4,000; the bug: nobody standardises them."""

import torch
import torch.nn as nn
from material import breast_cancer

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


class Classifier(nn.Module):
    """Two hidden layers; `prepare` is what stands before them at serving, too."""

    def __init__(self, prepare):
        super().__init__()
        self.prepare = prepare
        self.body = nn.Sequential(nn.Linear(30, 32), nn.Tanh(), nn.Linear(32, 16), nn.Tanh())
        self.head = nn.Linear(16, 1)

    def forward(self, x):
        return self.head(self.body(x))[:, 0]


def minibatches(x, y, size=32):
    """A plain list of batches, in a new order each time it is walked."""

    class Walk:
        def __len__(self):
            return -(-len(x) // size)

        def __iter__(self):
            for rows in torch.randperm(len(x)).split(size):
                yield x[rows], y[rows]

    return Walk()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = breast_cancer()
    mean, std = train.x.mean(0), train.x.std(0)
    prepare = (lambda x: x) if buggy else (lambda x: (x - mean) / std)
    model = Classifier(prepare)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": minibatches(prepare(train.x), train.y.float()),
        "val": minibatches(prepare(val.x), val.y.float()),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9),
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = breast_cancer().test
    with torch.no_grad():
        guessed = (model(model.prepare(x)) > 0).long()
    return (guessed == y).float().mean().item()
