"""Ranks simulated patients by risk with Cox's partial likelihood under censoring; score: concordance.

Bug: the scheduler was set up to decay per epoch, and is stepped per batch, so the rate is nothing after one epoch."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"


def cohort(count, seed):
    """Covariates (N, 8); times and whether the event was seen (N, 2); the true log risk (N,)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 8, generator=g)
    risk = 1.3 * (x[:, 0] * x[:, 1]) + 0.8 * x[:, 2].square() - 1.0 * x[:, 3] + 0.8 * torch.sin(2 * x[:, 4])
    events = -torch.log(torch.rand(count, generator=g)) * torch.exp(-risk)
    censored = -torch.log(torch.rand(count, generator=g)) * 3
    return x, torch.stack([torch.minimum(events, censored), (events <= censored).float()], 1), risk


def partial_likelihood(scores, targets):
    """Of a batch: each event against those who were still there (Breslow)."""
    order = targets[:, 0].argsort(descending=True)
    scores, seen = scores.squeeze(1)[order], targets[order, 1]
    return ((scores.logcumsumexp(0) - scores) * seen).sum() / seen.sum().clamp(min=1)


@torch.no_grad()
def concordance(model, x, targets):
    model.eval()
    scores, (times, seen) = model(x).squeeze(1), targets.unbind(1)
    comparable = (times.unsqueeze(1) < times) & (seen.unsqueeze(1) > 0)
    return (scores.unsqueeze(1) > scores)[comparable].float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(8, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    val = cohort(500, 2)[:2]
    return {
        "model": model,
        "loss": partial_likelihood,
        "train": DataLoader(TensorDataset(*cohort(3000, 1)[:2]), batch_size=64, shuffle=True, drop_last=True),
        "val": DataLoader(TensorDataset(*val), batch_size=500),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.88),
        "scheduler_step": "batch" if buggy else "epoch",
        "evaluate": lambda model, loader: concordance(model, *loader.dataset.tensors),
        "epochs": 15,
    }


def truth(model, seed=0):
    return concordance(model, *cohort(1500, 3)[:2])


def setup():
    return build(True)


def fixed():
    return build(False)
