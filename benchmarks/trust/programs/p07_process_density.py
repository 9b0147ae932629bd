"""Density of the normal states of a distillation column (six readings), by a RealNVP, to flag odd states later."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ()
HIGHER = "truth"
D = 6


def column(n, seed):
    """Two hidden causes (feed, reflux) and a third, small one drive six readings through bent curves."""
    g = torch.Generator().manual_seed(seed)
    feed, reflux = torch.randn(2, n, generator=g)
    fouling = 0.1 * torch.randn(n, generator=g)
    x = torch.stack(
        [
            feed,
            torch.tanh(feed) + 0.5 * reflux,
            reflux + 0.4 * feed**2 - 0.4,
            torch.sin(1.5 * reflux) + fouling,
            0.7 * feed - 0.7 * reflux + fouling,
            0.5 * (feed * reflux) + 0.5 * fouling,
        ],
        1,
    )
    return x + 0.03 * torch.randn(x.shape, generator=g)


class Coupling(nn.Module):
    def __init__(self, mask, hidden=48):
        super().__init__()
        self.register_buffer("mask", mask)
        self.net = nn.Sequential(
            nn.Linear(D, hidden), nn.Tanh(), nn.Linear(hidden, hidden), nn.Tanh(), nn.Linear(hidden, 2 * D)
        )
        nn.init.zeros_(self.net[-1].weight)
        nn.init.zeros_(self.net[-1].bias)

    def forward(self, x):
        kept = x * self.mask
        s, t = self.net(kept).chunk(2, 1)
        s = 2 * torch.tanh(s / 2) * (1 - self.mask)
        return kept + (1 - self.mask) * (x * s.exp() + t), s.sum(1)


class RealNVP(nn.Module):
    """forward: log density of each row."""

    def __init__(self, layers=6):
        super().__init__()
        masks = [torch.tensor([1.0, 0, 1, 0, 1, 0]), torch.tensor([0, 0, 0, 1.0, 1, 1])]
        masks += [1 - m for m in masks]
        self.layers = nn.ModuleList(Coupling(masks[(0, 2, 1, 3)[i % 4]]) for i in range(layers))

    def forward(self, x):
        logdet = x.new_zeros(len(x))
        for layer in self.layers:
            x, d = layer(x)
            logdet = logdet + d
        return logdet - 0.5 * (x**2).sum(1) - 0.5 * D * math.log(2 * math.pi)


class NLL:
    def __init__(self, floor):
        self.floor = floor

    def __call__(self, logp, _):
        nll = -logp
        if self.floor is not None:
            nll = nll.clamp(min=self.floor)
        return nll.mean()


def make_step(loss):
    def step(model, batch, optimizer):
        model.train()
        optimizer.zero_grad()
        value = loss(model(batch[0]), batch[1])
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        return value.detach()

    return step


def loglik(model, loader):
    """Mean log density per reading."""
    model.eval()
    with torch.no_grad():
        return torch.cat([model(x) for x, _ in loader]).mean().item() / D


def rows(n, seed):
    return TensorDataset(column(n, seed), torch.zeros(n))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = RealNVP()
    loss = NLL(floor=0.0 if buggy else None)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(rows(2400, 1), batch_size=100, shuffle=True),
        "val": DataLoader(rows(600, 2), batch_size=300),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train_step": make_step(loss),
        "evaluate": loglik,
        "epochs": 25,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return loglik(model, DataLoader(rows(2000, 3), batch_size=500))
