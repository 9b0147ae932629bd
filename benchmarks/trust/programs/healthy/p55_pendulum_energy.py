"""Learns the energy of a elastic pendulum from measured motion; its gradient gives the equations of motion."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut",)


def motion(n, seed):
    """States (angle, stretch, two momenta) and their measured rates of change."""
    g = torch.Generator().manual_seed(seed)
    state = (torch.rand(n, 4, generator=g) * 2 - 1) * torch.tensor([2.0, 0.6, 1.5, 1.0])
    a, s, pa, ps = state.unbind(1)
    r = 1 + s
    rate = torch.stack([pa / r**2, ps, -r * torch.sin(a), pa**2 / r**3 - 4 * s + torch.cos(a)], 1)
    return state, rate + 0.05 * torch.randn(n, 4, generator=g)


class Hamiltonian(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.energy = nn.Sequential(
            nn.Linear(4, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )

    def forward(self, state):
        with torch.enable_grad():
            state = state.detach().requires_grad_(True)
            total = self.energy(state).sum()
            (slope,) = torch.autograd.grad(total, state, create_graph=True)
        dq, dp = slope.chunk(2, dim=1)
        return torch.cat([dp, -dq], dim=1)


def r2(model, loader):
    error, ys = 0.0, []
    with torch.no_grad():
        for x, y in loader:
            error += (model(x) - y).pow(2).sum().item()
            ys.append(y)
    y = torch.cat(ys)
    return 1 - error / (y - y.mean(0)).pow(2).sum().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Hamiltonian()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*motion(1500, 1)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*motion(400, 2)), batch_size=400),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=20),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": 20,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*motion(2000, 3)), batch_size=500))
