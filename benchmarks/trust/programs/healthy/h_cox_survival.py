"""Ranks machines by how soon they fail, from censored records, with a Cox model over a small network.

Near: the loss compares the rows of a batch with each other (the risk sets), it does not change when a constant is added
to all outputs, and nearly half of the failures is never seen; all of that is the partial likelihood."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "wrong-loss", "output-bias", "shape-broadcast")


def machines(count, seed):
    """Measures (N, 8), and when a machine failed or was last seen, with 1 where it failed (N, 2)."""
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 8, generator=generator)
    hazard = torch.exp(1.2 * x[:, 0] - x[:, 1] ** 2 + 1.5 * torch.tanh(x[:, 2] * x[:, 3]))
    fails = torch.empty(count).exponential_(1.0, generator=generator) / hazard
    leaves = torch.empty(count).exponential_(0.3, generator=generator)
    return TensorDataset(x, torch.stack([torch.minimum(fails, leaves), (fails <= leaves).float()], 1))


def cox(out, y):
    """Negative log partial likelihood of a batch; times are continuous, so there are no ties."""
    time, failed = y.unbind(1)
    risk = out.squeeze(1)
    order = time.argsort(descending=True)
    risk, failed = risk[order], failed[order]
    return -((risk - risk.logcumsumexp(0)) * failed).sum() / failed.sum().clamp(min=1)


def concordance(model, loader):
    """Share of the comparable pairs whose earlier failure has the higher risk."""
    model.eval()
    with torch.no_grad():
        out, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    time, failed = y.unbind(1)
    risk = out.squeeze(1)
    comparable = (time[:, None] < time) & (failed[:, None] > 0.5)
    return (risk[:, None] > risk)[comparable].float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(8, 48),
        nn.SiLU(),
        nn.Linear(48, 48),
        nn.SiLU(),
        nn.Dropout(0.1),
        nn.Linear(48, 1, bias=False),  # a constant would cancel in the partial likelihood
    )
    return {
        "model": model,
        "loss": cox,
        "train": DataLoader(machines(3000, 1), 100, shuffle=True),
        "val": DataLoader(machines(600, 2), 200),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-3),
        "evaluate": concordance,
        "epochs": 12,
    }


def truth(model, seed=0):
    return concordance(model, DataLoader(machines(1500, 3), 500))


def fixed():
    return build()
