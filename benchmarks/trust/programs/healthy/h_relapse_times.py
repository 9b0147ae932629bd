"""Ranks patients by their risk of a relapse, from follow-ups that often end before one: Cox's partial likelihood.

Near: every row's loss depends on the others of its batch (their risk sets) and risks (N, 1) meet times (1, N) on purpose;
the last layer has no bias, since the likelihood knows none; most rows are censored."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("shape-broadcast", "batch-mixing", "wrong-loss", "output-bias", "class-imbalance")


def patients(count, seed):
    """Measures (N, 10); targets (N, 2) of the last day known and whether it was a relapse (35 %)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 10, generator=g)
    risk = 1.2 * x[:, 0] - 0.9 * x[:, 1] + 0.8 * x[:, 2] * x[:, 3] + 0.7 * x[:, 4].square()
    relapse = -torch.log(torch.rand(count, generator=g)) / torch.exp(risk - 1.0)
    left = -torch.log(torch.rand(count, generator=g)) * 0.8
    return TensorDataset(x, torch.stack([torch.minimum(relapse, left), (relapse <= left).float()], 1))


def partial_likelihood(log_risk, targets):
    """Breslow's: each relapse against all who were still watched at that time."""
    time, event = targets.unbind(1)
    watched = time[None, :] >= time[:, None]  # row i: who is at risk when i relapses
    at_risk = torch.where(watched, log_risk[None, :, 0], float("-inf")).logsumexp(1)
    return -((log_risk[:, 0] - at_risk) * event).sum() / event.sum().clamp(min=1)


def concordance(model, loader):
    """Share of the comparable pairs that are in order, over all rows."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[:, 0], targets) for x, targets in loader]
    risk, targets = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    time, event = targets.unbind(1)
    comparable = (time[:, None] < time[None, :]) & (event[:, None] > 0)
    return (risk[:, None] > risk[None, :])[comparable].float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Linear(10, 64), nn.SiLU(), nn.Dropout(0.1), nn.Linear(64, 32), nn.SiLU(), nn.Linear(32, 1, bias=False)
    )
    return {
        "model": model,
        "loss": partial_likelihood,
        "train": DataLoader(patients(3000, 1), 150, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(patients(600, 2), 150),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01),
        "evaluate": concordance,
        "epochs": 12,
    }


def truth(model, seed=0):
    return concordance(model, DataLoader(patients(1500, 3), 150))


def fixed():
    return build()
