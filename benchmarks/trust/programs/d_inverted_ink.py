"""Digits by attention over their rows; the bug: the training scans are ink on paper, all others are paper on ink."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"


class RowAttention(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.position = nn.Parameter(torch.randn(8, width) * 0.02)
        self.block = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=True)
        self.head = nn.Linear(width * 8, 10)

    def forward(self, x):  # (B, 8, 8), each row of pixels a token
        return self.head(self.block(self.embed(x) + self.position).flatten(1))


def scans(rows, inverted=False):
    x = rows.x.view(-1, 8, 8) / 16
    return TensorDataset(1 - x if inverted else x, rows.y)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    model = RowAttention()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(scans(train, inverted=buggy), batch_size=30, shuffle=True),
        "val": DataLoader(scans(val), batch_size=100),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3),
        "epochs": 15,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    model.eval()
    x, y = scans(digits().test).tensors
    return (model(x).argmax(1) == y).float().mean().item()
