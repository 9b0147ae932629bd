"""Digits read as sequences of rows by a Transformer whose every branch has a gate that begins at zero (ReZero).

Close to `constant-init`, `dead-units` and `gradient-cut`: at the first step only the gates get gradients, not what is
behind them (Bachlechner et al. 2020).
"""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "constant-init", "dead-units")


class Block(nn.Module):
    def __init__(self, dim):
        super().__init__()
        self.attend = nn.MultiheadAttention(dim, 4, batch_first=True)
        self.think = nn.Sequential(nn.Linear(dim, 2 * dim), nn.GELU(), nn.Linear(2 * dim, dim))
        self.gates = nn.Parameter(torch.zeros(2))

    def forward(self, h):
        h = h + self.gates[0] * self.attend(h, h, h, need_weights=False)[0]
        return h + self.gates[1] * self.think(h)


class RowsTransformer(nn.Module):
    def __init__(self, dim=48):
        super().__init__()
        self.rows = nn.Linear(56, dim)
        self.places = nn.Parameter(0.1 * torch.randn(14, dim))
        self.blocks = nn.Sequential(Block(dim), Block(dim))
        self.out = nn.Linear(14 * dim, 10)

    def forward(self, x):  # (B, 14, 56)
        return self.out(self.blocks(self.rows(x) + self.places).flatten(1))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset((r.x.float() / 255 - 0.13).reshape(-1, 14, 56) * 3, r.y) for r in mnist(1600))
    model = RowsTransformer()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=40, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "epochs": 5,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = mnist(1600).test
    x = (test.x.float() / 255 - 0.13).reshape(-1, 14, 56) * 3
    return (model.eval()(x).argmax(1) == test.y).float().mean().item()
