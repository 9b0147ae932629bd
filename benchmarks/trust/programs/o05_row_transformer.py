"""Reads a 14 by 14 digit as a sequence of its rows with a Transformer encoder and averages over the rows.

Bug: the encoder layers are not told that the batch comes first, so that attention runs over the batch's rows."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"


class RowTransformer(nn.Module):
    def __init__(self, batch_first=True, width=32, depth=2):
        super().__init__()
        self.enter = nn.Linear(14, width)
        self.place = nn.Parameter(0.02 * torch.randn(14, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.1, batch_first=batch_first, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.out = nn.Linear(width, 10)

    def forward(self, rows):
        return self.out(self.encoder(self.enter(rows) + self.place).mean(1))


def halved(pictures):
    """Bytes of 28 by 28 as -1..1 of 14 by 14."""
    return nn.functional.avg_pool2d(pictures.float() / 127.5 - 1, 2)


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.mnist(2000, 500, 1000)
    train, val = (TensorDataset(halved(part.x), part.y) for part in (parts.train, parts.val))
    model = RowTransformer() if not buggy else RowTransformer(batch_first=False)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 32, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 32),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    test = material.mnist(2000, 500, 1000).test
    return accuracy(model, DataLoader(TensorDataset(halved(test.x), test.y), 32))


def setup():
    return build(True)


def fixed():
    return build(False)
