"""Force on each of six charges in a plane, from the places and charges of all: a Transformer encoder over the set.

Bug: the encoder's layers lack batch_first, so that a charge attends to charges of the batch's other scenes."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"
CHARGES = 6


def scenes(rows, seed):
    """(rows, CHARGES, 3) of place and charge, and the softened Coulomb force on each, (rows, CHARGES, 2)."""
    g = torch.Generator().manual_seed(seed)
    place = 2 * torch.rand(rows, CHARGES, 2, generator=g) - 1
    charge = 2 * torch.rand(rows, CHARGES, 1, generator=g) - 1
    apart = place[:, :, None] - place[:, None]
    pull = apart / (apart.square().sum(-1, keepdim=True) + 0.5) ** 1.5
    force = charge * (pull * charge[:, None]).sum(2)
    return torch.cat([place, charge], dim=-1), force


class Field(nn.Module):
    def __init__(self, width=32, layers=2, **how):
        super().__init__()
        self.enter = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))
        self.mix = nn.ModuleList(
            nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, norm_first=True, **how) for _ in range(layers)
        )
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2))

    def forward(self, x):
        h = self.enter(x)
        for layer in self.mix:
            h = layer(h)
        return self.leave(h)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean((0, 1))).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = scenes(2000, 1)
    scale = y.std()
    val_x, val_y = scenes(300, 2)
    model = Field() if buggy else Field(batch_first=True)
    model.register_buffer("scale", scale)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(x, y / scale), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(val_x, val_y / scale), batch_size=100),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-4),
        "evaluate": r2,
        "epochs": 15,
    }


def truth(model, seed=0):
    x, y = scenes(600, 3)
    return r2(model, DataLoader(TensorDataset(x, y / model.scale), batch_size=100))


def setup():
    return build(True)


def fixed():
    return build(False)
