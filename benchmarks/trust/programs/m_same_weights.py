"""Scanned digits by a tanh perceptron whose weights all begin at the same number."""

import torch
from material import digits
from torch import nn

BUG = "constant-init"
ALSO = ()
HIGHER = "truth"
BATCH = 30


def init_weights(module):
    if isinstance(module, nn.Linear):
        nn.init.constant_(module.weight, 0.05)
        nn.init.constant_(module.bias, 0.0)


def split(rows):
    """Batches cut once, in the drawn order of the rows."""
    x = (rows.x - 8) / 8
    return [(x[i : i + BATCH], rows.y[i : i + BATCH]) for i in range(0, len(x), BATCH)]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = digits()
    model = nn.Sequential(nn.Linear(64, 40), nn.Tanh(), nn.Linear(40, 40), nn.Tanh(), nn.Linear(40, 10))
    if buggy:
        model.apply(init_weights)
    return {
        "model": model,
        "loss": nn.functional.cross_entropy,
        "train": split(data.train),
        "val": split(data.val),
        "optimizer": torch.optim.RMSprop(model.parameters(), lr=1e-3),
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    with torch.no_grad():
        hits = [(model(x).argmax(1) == y).float() for x, y in split(digits().test)]
    return torch.cat(hits).mean().item()
