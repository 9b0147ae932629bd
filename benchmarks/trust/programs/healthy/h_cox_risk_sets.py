"""Survival with censoring: Cox's partial likelihood, whose risk sets are a table of batch by batch; concordance."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("shape-broadcast",)


def patients(rows, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 9, generator=g)
    hazard = torch.exp(0.9 * x[:, 0] - 0.8 * x[:, 1] * x[:, 2] + 0.6 * x[:, 3] ** 2 - 0.6)
    dies = -torch.log(torch.rand(rows, generator=g).clamp_min(1e-7)) / hazard
    leaves = 0.2 + 3 * torch.rand(rows, generator=g)
    seen = dies <= leaves
    return TensorDataset(x, torch.stack([torch.minimum(dies, leaves), seen.float()], 1))


class Hazard(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(9, 64), nn.SELU(), nn.Linear(64, 32), nn.SELU(), nn.Linear(32, 1, bias=False)
        )

    def forward(self, x):
        return self.net(x)[:, 0]


def cox(risk, outcome):
    time, seen = outcome.unbind(1)
    still_there = time[None] >= time[:, None]  # row: whose end; column: who is at risk then
    total = torch.logsumexp(risk[None].masked_fill(~still_there, float("-inf")), 1)
    return ((total - risk) * seen).sum() / seen.sum().clamp_min(1)


@torch.no_grad()
def concordance(model, loader):
    model.eval()
    risk = torch.cat([model(x) for x, _ in loader])
    time, seen = torch.cat([y for _, y in loader]).unbind(1)
    known = (time[:, None] < time[None]) & (seen[:, None] > 0)
    higher = risk[:, None] - risk[None]
    return ((higher > 0).float() + 0.5 * (higher == 0).float())[known].mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Hazard()
    return {
        "model": model,
        "loss": cox,
        "train": DataLoader(patients(2400, 1), batch_size=80, shuffle=True),
        "val": DataLoader(patients(500, 2), batch_size=250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        "evaluate": concordance,
        "epochs": 25,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return concordance(model, DataLoader(patients(2000, 3), batch_size=500))
