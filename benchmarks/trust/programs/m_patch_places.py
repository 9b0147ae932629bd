"""Handwritten digits by a small vision Transformer over 16 patches of 7 by 7.

Bug: the table of places is a plain tensor that asks for gradients, not a parameter; no optimizer moves it from zero."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"


class PatchTransformer(nn.Module):
    def __init__(self, registered, width=48):
        super().__init__()
        self.cut = nn.Conv2d(1, width, 7, stride=7)
        if registered:
            self.place = nn.Parameter(torch.zeros(1, 16, width))
        else:
            self.place = torch.zeros(1, 16, width, requires_grad=True)
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))

    def forward(self, pictures):
        h = self.cut(pictures).flatten(2).transpose(1, 2) + self.place
        return self.head(self.layers(h).mean(1))


def prepared(rows):
    return (rows.x[:, None].float() / 255 - 0.13) / 0.31, rows.y


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(3000, 500, 1000)
    model = PatchTransformer(registered=not buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            TensorDataset(*prepared(parts.train)), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*prepared(parts.val)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": accuracy,
        "epochs": 12,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    return accuracy(model, [prepared(mnist(3000, 500, 1000).test)])


def setup():
    return build(True)


def fixed():
    return build(False)
