"""Solves a damped, driven oscillator x'' + 0.4 x' + 4 x = cos(t) by a network of time, from the equation alone.

Near: every target is 0 and the input is one number, since the outputs are the equation's residuals at chosen moments;
the beginning x(0) = 1, x'(0) = 0 is built into the network, so that the trivial solution is shut out."""

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("wrong-loss", "constant-input", "input-ignored", "output-bias")
END = 5.0


class Oscillator(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(1, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh(), nn.Linear(width, 1)
        )

    def solution(self, t):
        return 1 + (1 - torch.exp(-t)).square() * self.net(t - END / 2)

    def forward(self, t):
        """The residual of the equation at the moments t (N, 1)."""
        with torch.enable_grad():
            t = t.detach().requires_grad_()
            x = self.solution(t)
            first = torch.autograd.grad(x.sum(), t, create_graph=True)[0]
            second = torch.autograd.grad(first.sum(), t, create_graph=True)[0]
        return second + 0.4 * first + 4 * x - torch.cos(t)


def exact(t):
    """The closed solution: a steady swing and a dying one, matched to the beginning."""
    a, b = 3 / 9.16, 0.4 / 9.16  # of cos(t) and sin(t)
    pitch = math.sqrt(4 - 0.04)
    c = 1 - a
    d = (0.2 * c - b) / pitch
    return a * np.cos(t) + b * np.sin(t) + np.exp(-0.2 * t) * (c * np.cos(pitch * t) + d * np.sin(pitch * t))


def build(seed=0):
    torch.manual_seed(seed)
    t = torch.linspace(0, END, 256)[:, None]
    model = Oscillator()
    train = DataLoader(TensorDataset(t, torch.zeros_like(t)), batch_size=128, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    epochs = 600
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": train,
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        "scheduler_step": "epoch",
        "epochs": epochs,
    }


def truth(model, seed=0):
    t = torch.rand(500, 1, generator=torch.Generator().manual_seed(3)) * END
    y = torch.tensor(exact(t.numpy()), dtype=torch.float32)
    model.eval()
    with torch.no_grad():
        rest = (model.solution(t) - y).square().sum()
    return 1 - (rest / (y - y.mean()).square().sum()).item()


def fixed():
    return build()
