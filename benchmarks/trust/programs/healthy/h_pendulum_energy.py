"""A Hamiltonian network learns the energy of a pendulum from states and their rates; torch.func gives its gradient.

Near: the last layer has no bias (an energy is known up to a constant), the outputs are derivatives, not the net's
own values, and the first bias acts through second derivatives alone; tanh, since a ReLU has none."""

import torch
from torch import nn
from torch.func import grad, vmap
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("dead-units", "gradient-cut", "frozen-parameters", "output-bias")


def states(count, seed, noise=0.05):
    g = torch.Generator().manual_seed(seed)
    q = (torch.rand(count, generator=g) * 2 - 1) * 2.5
    p = torch.randn(count, generator=g)
    rates = torch.stack([p, -2.0 * torch.sin(q)], 1)
    return torch.stack([q, p], 1), rates + noise * torch.randn(count, 2, generator=g)


class Hamiltonian(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.energy = nn.Sequential(
            nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )

    def forward(self, state):
        slope = vmap(grad(lambda one: self.energy(one)[0]))(state)
        return torch.stack([slope[:, 1], -slope[:, 0]], 1)  # dq/dt = dH/dp, dp/dt = -dH/dq


def r2(model, loader):
    model.eval()
    pairs = [(model(x).detach(), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())


def build(seed=0):
    torch.manual_seed(seed)
    model = Hamiltonian()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*states(1200, 1)), batch_size=40, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*states(300, 2)), batch_size=300),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": r2,
        "epochs": 10,
    }  # fmt: skip


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*states(1000, 3, noise=0.0)), batch_size=500))


def fixed():
    return build()
