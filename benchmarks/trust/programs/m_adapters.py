"""Low-rank adapters (LoRA) teach a frozen digit reader, trained on upright digits, to read digits turned upside down.

Bug: both factors of each adapter begin at zero, so that neither ever gets a gradient; only B should."""

import copy
from functools import cache

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "constant-init"
ALSO = ("gradient-cut",)
HIGHER = "truth"


def upright(rows):
    return TensorDataset(rows.x.float().flatten(1) / 255, rows.y)


def turned(rows):
    return TensorDataset(rows.x.flip(1, 2).float().flatten(1) / 255, rows.y)


@cache
def pretrained():
    """The reader of upright digits, the same for every seed: a stand-in for a downloaded checkpoint."""
    with torch.random.fork_rng():
        torch.manual_seed(100)
        model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
        for _ in range(8):
            for x, y in DataLoader(upright(mnist().train), 64, shuffle=True):
                optimizer.zero_grad()
                nn.functional.cross_entropy(model(x), y).backward()
                optimizer.step()
    return model


class LoRALinear(nn.Module):
    def __init__(self, base, rank, zero_both):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.a = nn.Parameter(torch.zeros(rank, base.in_features))
        self.b = nn.Parameter(torch.zeros(base.out_features, rank))
        if not zero_both:
            nn.init.kaiming_uniform_(self.a, a=5**0.5)
        self.scale = 16 / rank

    def forward(self, x):
        return self.base(x) + self.scale * (x @ self.a.T) @ self.b.T


def with_adapters(model, rank, zero_both):
    adapted = copy.deepcopy(model)
    for place, layer in enumerate(adapted):
        if isinstance(layer, nn.Linear):
            adapted[place] = LoRALinear(layer, rank, zero_both)
    return adapted


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return sum((model(x).argmax(1) == y).sum().item() for x, y in loader) / len(loader.dataset)


def build(buggy, seed=0):
    base = pretrained()
    torch.manual_seed(seed)
    parts = mnist()
    model = with_adapters(base, rank=8, zero_both=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(turned(parts.train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(turned(parts.val), 250),
        "optimizer": torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-3, weight_decay=0.0),
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(turned(mnist().test), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
