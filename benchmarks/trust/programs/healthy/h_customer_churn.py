"""Ranks customers by how soon they will leave: Cox regression with a small network, two in five still there at the end.

Near: the partial likelihood compares each leaving customer with all of the batch who stayed longer, so a row's loss
depends on its neighbours, by design; a constant added to all outputs changes nothing, hence no bias in the last layer;
targets are a time and a flag, not a label."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "wrong-loss", "shape-broadcast", "output-bias")

MEASURES = 7


def customers(rows, seed):
    """Measures (rows, MEASURES); months observed and whether the customer left then (rows, 2)."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, MEASURES))
    risk = 1.2 * x[:, 0] - 1.0 * np.abs(x[:, 1]) + 0.9 * x[:, 2] * x[:, 3]
    leaves = rng.exponential(12 * np.exp(-1.3 * risk))
    ends = rng.uniform(2, 40, rows)
    seen = np.stack([np.minimum(leaves, ends), leaves <= ends], axis=1)
    return TensorDataset(torch.tensor(x, dtype=torch.float32), torch.tensor(seen, dtype=torch.float32))


class RiskNet(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(MEASURES, width),
            nn.ELU(),
            nn.Dropout(0.1),
            nn.Linear(width, width),
            nn.ELU(),
            nn.Linear(width, 1, bias=False),
        )

    def forward(self, x):
        return self.layers(x).squeeze(1)


def cox_loss(risk, seen):
    """Breslow's partial likelihood within the batch: who leaves should be the riskiest of those still there."""
    months, left = seen[:, 0], seen[:, 1]
    order = months.argsort(descending=True)
    risk, left = risk[order], left[order]
    still_there = risk.logcumsumexp(0)
    return ((still_there - risk) * left).sum() / left.sum().clamp_min(1)


def concordance(model, loader):
    """Share of comparable pairs in the right order (Harrell's C), over the whole set at once."""
    model.eval()
    with torch.no_grad():
        risk, seen = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    months, left = seen[:, 0], seen[:, 1] > 0.5
    comparable = left[:, None] & (months[:, None] < months[None])
    ahead = (risk[:, None] > risk[None]).float() + 0.5 * (risk[:, None] == risk[None]).float()
    return ahead[comparable].mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = RiskNet()
    return {
        "model": model,
        "loss": cox_loss,
        "train": DataLoader(
            customers(3000, 1), 128, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(customers(600, 2), 200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        "evaluate": concordance,
        "epochs": 20,
    }


def truth(model, seed=0):
    return concordance(model, DataLoader(customers(1500, 3), 500))


def fixed():
    return build()
