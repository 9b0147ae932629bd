"""How long bridge bearings last: a Cox model with a small network, fitted by the partial likelihood within each batch.

Near: the loss of one row depends on the others of its batch (the risk set), outputs have no offset to learn (only their
differences count, so the last layer has no bias), half of the lifetimes are cut off by the end of the study."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "wrong-loss", "output-bias", "label-noise")


def bearings(rows, seed):
    """Load, span, salt, age of the paint, traffic, temperature range; targets (rows, 2): time seen and whether it failed."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=g)
    risk = 1.2 * x[:, 0] + 0.9 * x[:, 2] * x[:, 3] + 0.8 * x[:, 4].abs() - 0.5 * x[:, 5]
    lifetime = (-torch.rand(rows, generator=g).log() * torch.exp(-risk)) ** 0.6
    study = 0.2 + 1.4 * torch.rand(rows, generator=g)
    seen = torch.minimum(lifetime, study)
    return x, torch.stack([seen, (lifetime <= study).float()], 1)


class Hazard(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(6, 48), nn.SiLU(), nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1, bias=False)
        )

    def forward(self, x):
        return self.net(x).squeeze(1)


def partial_likelihood(log_hazard, targets):
    order = targets[:, 0].argsort(descending=True)
    log_hazard, failed = log_hazard[order], targets[order, 1]
    return -((log_hazard - log_hazard.logcumsumexp(0)) * failed).sum() / failed.sum().clamp(min=1)


def concordance(model, loader):
    """The share of comparable pairs of which the one with the higher hazard failed first."""
    model.eval()
    with torch.no_grad():
        h, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    earlier = (y[:, 0].unsqueeze(1) < y[:, 0]) & (y[:, 1] == 1).unsqueeze(1)
    return (h.unsqueeze(1) > h)[earlier].float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Hazard()
    return {
        "model": model,
        "loss": partial_likelihood,
        "train": DataLoader(TensorDataset(*bearings(2400, 11)), 128, shuffle=True, drop_last=True),
        "val": DataLoader(TensorDataset(*bearings(500, 12)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01),
        "evaluate": concordance,
        "epochs": 15,
    }


def truth(model, seed=0):
    return concordance(model, DataLoader(TensorDataset(*bearings(1500, 13)), 500))


def fixed():
    return build()
