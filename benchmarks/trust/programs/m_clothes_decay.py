"""Kinds of clothes (Fashion-MNIST) by a CNN with decoupled weight decay of 0.05.

Bug: Adam is used in AdamW's place, so 0.05 becomes an L2 penalty inside the adaptive step, far too strong."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "weight-decay-too-high"
ALSO = ()
HIGHER = "truth"


def prepared(rows):
    return (rows.x[:, None].float() / 255 - 0.286) / 0.353, rows.y


def network():
    return nn.Sequential(
        nn.Conv2d(1, 12, 5, stride=2, padding=2),
        nn.GELU(),
        nn.Conv2d(12, 24, 3, stride=2, padding=1),
        nn.GELU(),
        nn.Flatten(),
        nn.Linear(24 * 49, 64),
        nn.GELU(),
        nn.Linear(64, 10),
    )


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = network()
    kind = torch.optim.Adam if buggy else torch.optim.AdamW
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            TensorDataset(*prepared(parts.train)), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*prepared(parts.val)), 250),
        "optimizer": kind(model.parameters(), lr=1e-3, weight_decay=0.05),
        "evaluate": accuracy,
        "epochs": 6,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    return accuracy(model, [prepared(fashion().test)])


def setup():
    return build(True)


def fixed():
    return build(False)
