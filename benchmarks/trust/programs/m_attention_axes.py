"""A digit is read as eight rows by a transformer layer; the layer takes the batch for the rows."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"


class RowReader(nn.Module):
    """(B, 8, 8) pictures -> (B, 10)"""

    def __init__(self, width=32, batch_first=True):
        super().__init__()
        self.embed = nn.Linear(8, width)
        self.place = nn.Parameter(torch.randn(8, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, 4, 64, dropout=0.0, batch_first=batch_first)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, x):
        h = self.embed(x) + self.place
        h = self.encoder(h)  # (B, 8, width)
        return self.head(h[:, 0])  # the first row gathers what the others hold


def prepared(rows):
    return TensorDataset(rows.x.view(-1, 8, 8) / 8 - 1, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = RowReader(batch_first=False) if buggy else RowReader(batch_first=True)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(prepared(parts.train), batch_size=32, shuffle=True),
        "val": DataLoader(prepared(parts.val), batch_size=32),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3),
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    right = 0
    loader = DataLoader(prepared(digits().test), batch_size=32)
    for x, y in loader:
        right += int((model(x).argmax(1) == y).sum())
    return right / len(loader.dataset)
