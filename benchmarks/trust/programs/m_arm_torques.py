"""Inverse dynamics of a two-link arm: torques from angles, speeds and accelerations, with clipped momentum steps.

Bug: the program's step never clears the gradients."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"


def motions(rows, seed):
    """Rows (q1, q2, their speeds, their accelerations) and the two torques by the rigid-body equations, scaled."""
    g = torch.Generator().manual_seed(seed)
    q = (torch.rand(rows, 2, generator=g) - 0.5) * 2 * torch.pi
    v, a = torch.randn(rows, 2, generator=g), torch.randn(rows, 2, generator=g)
    c2, s2 = torch.cos(q[:, 1]), torch.sin(q[:, 1])
    m11, m12, m22 = 1.8 + 0.9 * c2, 0.5 + 0.45 * c2, 0.5
    first = m11 * a[:, 0] + m12 * a[:, 1] - 0.45 * s2 * (2 * v[:, 0] * v[:, 1] + v[:, 1] ** 2)
    second = m12 * a[:, 0] + m22 * a[:, 1] + 0.45 * s2 * v[:, 0] ** 2
    first = first + 2.0 * torch.cos(q[:, 0]) + 0.7 * torch.cos(q[:, 0] + q[:, 1])
    second = second + 0.7 * torch.cos(q[:, 0] + q[:, 1])
    torque = torch.stack([first / 3, second], 1)
    return torch.cat([q, v, a], 1), torque + 0.03 * torch.randn(rows, 2, generator=g)


class Arm(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(8, 96), nn.Tanh(), nn.Linear(96, 96), nn.Tanh(), nn.Linear(96, 2))

    def forward(self, state):
        angles = state[:, :2]
        return self.net(torch.cat([angles.sin(), angles.cos(), state[:, 2:]], 1))


loss = nn.MSELoss()


def stale_step(model, batch, optimizer):
    model.train()
    state, torque = batch
    error = loss(model(state), torque)
    error.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return error


def step(model, batch, optimizer):
    optimizer.zero_grad()
    return stale_step(model, batch, optimizer)


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(0, correction=0).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Arm()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*motions(3000, 121)), 32, shuffle=True),
        "val": DataLoader(TensorDataset(*motions(500, 122)), 250),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9),
        "train_step": stale_step if buggy else step,
        "evaluate": explained,
        "epochs": 15,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*motions(2000, 123)), 500))


def setup():
    return build(True)


def fixed():
    return build(False)
