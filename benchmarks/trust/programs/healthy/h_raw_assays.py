"""Tumour classification from raw measurements, 0.001 to 4,000, as they come from the lab's export.

Near: nobody scales the inputs and they differ by six orders of magnitude; the model's own first layer, a BatchNorm
without learned scale, standardises each column, and travels with the weights, so that nothing can be forgotten in service.
"""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("input-scale", "batch-mixing", "train-val-mismatch")


class RawAssays(nn.Module):
    def __init__(self, columns=30, hidden=32):
        super().__init__()
        self.standardise = nn.BatchNorm1d(columns, affine=False)
        self.body = nn.Sequential(
            nn.Linear(columns, hidden), nn.SiLU(), nn.Dropout(0.3), nn.Linear(hidden, hidden), nn.SiLU()
        )
        self.out = nn.Linear(hidden, 1)

    def forward(self, x):
        return self.out(self.body(self.standardise(x)))


def loader(part, batch, order=None):
    rows = TensorDataset(part.x, part.y.float()[:, None])
    return DataLoader(rows, batch_size=batch, shuffle=order is not None, generator=order)


def accuracy(model, batches):
    model.eval()
    right = count = 0
    with torch.inference_mode():
        for x, y in batches:
            right += int(((model(x) > 0).float() == y).sum())
            count += len(y)
    return right / count


def build(seed=0):
    parts = material.breast_cancer()
    torch.manual_seed(seed)
    model = RawAssays()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": loader(parts.train, 32, torch.Generator().manual_seed(seed)),
        "val": loader(parts.val, 100),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.02),
        "evaluate": accuracy,
        "epochs": 30,
    }


def truth(model, seed=0):
    return accuracy(model, loader(material.breast_cancer().test, 149))


def fixed():
    return build()
