"""Ranks made-up patients by risk with a Cox model on a small network; some leave the study before their event.

Bug: the logarithm of the partial likelihood is minimised, for the minus before it is missing."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-sign"
ALSO = ()
HIGHER = "truth"


def patients(rows, seed):
    """Six measures; (time of event or of leaving, whether it was the event)."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(rows, 6, generator=g)
    risk = 0.9 * x[:, 0] - 0.7 * x[:, 1] + 0.6 * x[:, 2] * x[:, 3] + 0.5 * x[:, 4] ** 2
    event = -torch.log(torch.rand(rows, generator=g)) * torch.exp(-1.3 * risk)
    leaves = -torch.log(torch.rand(rows, generator=g)) * 3.0
    return x, torch.stack([torch.minimum(event, leaves), (event <= leaves).float()], 1)


def cox(sign):
    def loss(risk, outcome):
        """Breslow's partial likelihood, in which those at risk at a time are all who are still there in the batch."""
        order = outcome[:, 0].argsort(descending=True)
        risk, happened = risk[order], outcome[order, 1]
        log_likelihood = (risk - risk.logcumsumexp(0)) * happened
        return sign * log_likelihood.sum() / happened.sum().clamp(min=1)

    return loss


class Risk(nn.Module):
    def __init__(self):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, 32), nn.Tanh(), nn.Linear(32, 1))

    def forward(self, x):
        return self.layers(x).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Risk()
    return {
        "model": model,
        "loss": cox(1 if buggy else -1),
        "train": DataLoader(
            TensorDataset(*patients(2000, 1)), 100, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*patients(500, 2)), 500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-2),
        "evaluate": concordance,
        "epochs": 20,
    }


@torch.no_grad()
def concordance(model, loader):
    """Share of the comparable pairs in which the one who has the event first has the higher risk."""
    model.eval()
    pairs = [(model(x), outcome) for x, outcome in loader]
    risk, outcome = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    earlier = (outcome[:, None, 0] < outcome[None, :, 0]) & (outcome[:, None, 1] > 0)
    return (risk[:, None] > risk[None, :])[earlier].float().mean().item()


def truth(model, seed=0):
    return concordance(model, [patients(1000, 3)])


def setup():
    return build(True)


def fixed():
    return build(False)
