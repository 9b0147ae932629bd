"""Ranks machines by their risk of failing (simulated, a third still run) with Cox's partial likelihood over big batches.

Near: batch-mixing, since a row's loss is against all rows of its batch still at risk; output-bias and loss-input, since
log risks have no level of their own, which is why the last layer has no bias; the score is the concordance."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "output-bias", "loss-input", "shape-broadcast")


def machines(rows, seed):
    """Six gauges; targets (N, 2) are the hours seen and whether the machine failed then."""
    draw = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=draw)
    log_risk = 1.2 * x[:, 0] + 0.8 * x[:, 1].square() - x[:, 2] * x[:, 3] - 0.8
    fails = -torch.rand(rows, generator=draw).clamp(min=1e-6).log() / (1.2 * log_risk).exp()
    ends = 4 * torch.rand(rows, generator=draw)
    return x, torch.stack([torch.minimum(fails, ends), (fails <= ends).float()], dim=1)


def cox(outputs, targets):
    """Breslow's form: sorted from the last time to the first, a running logsumexp covers those at risk."""
    order = targets[:, 0].argsort(descending=True)
    risk, failed = outputs.squeeze(1)[order], targets[order, 1]
    return -((risk - risk.logcumsumexp(0)) * failed).sum() / failed.sum().clamp(min=1)


def concordance(model, loader):
    """The share of comparable pairs of which the one that failed first has the higher risk, brought to -1..1."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).squeeze(1), y) for x, y in loader]
    risk, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    comparable = (y[:, None, 0] < y[None, :, 0]) & (y[:, None, 1] > 0)
    return 2 * (risk[:, None] > risk[None, :])[comparable].float().mean().item() - 1


def build(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(6, 32), nn.SiLU(), nn.Linear(32, 32), nn.SiLU(), nn.Linear(32, 1, bias=False))
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": cox,
        "train": DataLoader(TensorDataset(*machines(2000, 0)), 200, shuffle=True, generator=order),
        "val": DataLoader(TensorDataset(*machines(500, 1)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2),
        "evaluate": concordance,
        "epochs": 30,
    }


def truth(model, seed=0):
    return concordance(model, DataLoader(TensorDataset(*machines(1000, 2)), 500))


def fixed():
    return build()
