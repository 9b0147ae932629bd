"""Learns a double well's Hamiltonian from phase-space velocities: the network gives an energy, its slopes the motion.

Near: the forward pass takes gradients itself and works under no_grad too; the energy's offset can't be seen in its
slopes, hence the last layer has no bias; inputs are detached before they are made to require gradients."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "eval-mode", "output-bias")


def motions(rows, seed, noise):
    """Places and momenta (rows, 4) of two coupled oscillators in a double well, and their time derivatives."""
    g = torch.Generator().manual_seed(seed)
    state = torch.randn(rows, 4, generator=g)
    q1, q2, p1, p2 = state.unbind(1)
    force1 = q1 - 0.5 * q1**3 - 0.6 * (q1 - q2)
    force2 = q2 - 0.5 * q2**3 + 0.6 * (q1 - q2)
    motion = torch.stack([p1, p2 / 1.5, force1, force2], 1)
    return state, motion + noise * torch.randn(rows, 4, generator=g)


class Hamiltonian(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.energy = nn.Sequential(
            nn.Linear(4, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1, bias=False)
        )

    def forward(self, state):
        with torch.enable_grad():
            state = state.detach().requires_grad_()
            (slope,) = torch.autograd.grad(self.energy(state).sum(), state, create_graph=True)
        by_place, by_momentum = slope.chunk(2, 1)
        motion = torch.cat([by_momentum, -by_place], 1)
        return motion if self.training else motion.detach()


def explained(model, loader):
    model.eval()
    p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(0, correction=0).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Hamiltonian()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*motions(1500, 81, 0.1)), 50, shuffle=True),
        "val": DataLoader(TensorDataset(*motions(300, 82, 0.1)), 150),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 20,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*motions(1000, 83, 0.0)), 500))


def fixed():
    return build()
