"""Learns how a panel's ratings of a simulated dish spread over five grades (label distributions), by KL divergence.

Bug: kl_div is handed probabilities, where it expects their logarithms. Score: one less the total variation distance."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ("wrong-loss",)
HIGHER = "truth"
GRADES = 5


def dishes(count, seed):
    """Sugar, salt, acid, fat, heat, age (standardised), and the shares of the five grades."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 6, generator=g)
    sugar, salt, acid, fat, heat, age = x.unbind(1)
    liked = 0.9 * torch.tanh(sugar * acid) + 0.6 * fat - 0.5 * salt.square() + 0.5 - 0.3 * age
    split = F.softplus(0.8 * heat) + 0.35  # hot dishes divide the panel
    grades = torch.linspace(-2, 2, GRADES)
    shares = (-((grades - liked.unsqueeze(1)) ** 2) / (2 * split.unsqueeze(1) ** 2)).softmax(1)
    return x, shares


class Panel(nn.Module):
    """Answers logits."""

    def __init__(self):
        super().__init__()
        self.norm = nn.LayerNorm(64)
        self.first, self.second, self.last = nn.Linear(6, 64), nn.Linear(64, 64), nn.Linear(64, GRADES)

    def forward(self, x):
        hidden = F.silu(self.first(x))
        return self.last(hidden + F.silu(self.second(self.norm(hidden))))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    activation = torch.softmax if buggy else torch.log_softmax

    def divergence(logits, shares):
        return F.kl_div(activation(logits, dim=1), shares, reduction="batchmean")

    model = Panel()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    return {
        "model": model,
        "loss": divergence,
        "train": DataLoader(TensorDataset(*dishes(2000, 1)), batch_size=40, shuffle=True),
        "val": DataLoader(TensorDataset(*dishes(400, 2)), batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.88),
        "scheduler_step": "epoch",
        "epochs": 20,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, shares = dishes(1000, 3)
    return 1 - (model(x).softmax(1) - shares).abs().sum(1).mean().item() / 2


def setup():
    return build(True)


def fixed():
    return build(False)
