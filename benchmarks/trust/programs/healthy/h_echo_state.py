"""Forecasts a chaotic circuit's voltage six steps ahead with an echo state network: a fixed random reservoir and a trained readout.

Near: most weights never move and stay at their random draw, scaled to a spectral radius of 0.9, which is what a
reservoir is; the only trained layer is linear, and the reservoir's tanh is the nonlinearity."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "init-scale", "no-nonlinearity", "optimizer-missing-parameters")
AHEAD, WINDOW = 6, 50


def lorenz(rows, seed):
    """Windows (rows, 50, 1) of the first coordinate of the Lorenz system with a little noise, and its value 6 steps on."""
    g = torch.Generator().manual_seed(seed)
    state = torch.randn(rows, 3, generator=g) * 5 + torch.tensor([0.0, 0.0, 25.0])
    path = []
    for step in range(4 * (60 + WINDOW + AHEAD)):
        x, y, z = state.unbind(1)
        state = state + 0.01 * torch.stack([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z], 1)
        if step % 4 == 3:
            path.append(state[:, 0] / 8)
    path = torch.stack(path[60:], 1)
    seen = path[:, :WINDOW] + 0.01 * torch.randn(rows, WINDOW, generator=g)
    return seen.unsqueeze(2), path[:, -1]


class Echo(nn.Module):
    def __init__(self, units=150):
        super().__init__()
        recurrent = torch.randn(units, units) * (torch.rand(units, units) < 0.1)
        recurrent *= 0.9 / torch.linalg.eigvals(recurrent).abs().max()
        self.enter = nn.Parameter((torch.rand(1, units) - 0.5) * 1.5, requires_grad=False)
        self.recurrent = nn.Parameter(recurrent, requires_grad=False)
        self.shift = nn.Parameter((torch.rand(units) - 0.5) * 0.8, requires_grad=False)
        self.readout = nn.Linear(units, 1)

    def forward(self, seen):
        state = seen.new_zeros(len(seen), len(self.shift))
        for now in seen.unbind(1):
            state = 0.5 * state + 0.5 * torch.tanh(now @ self.enter + state @ self.recurrent + self.shift)
        return self.readout(state).squeeze(1)


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Echo()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*lorenz(1200, 1)), 40, shuffle=True),
        "val": DataLoader(TensorDataset(*lorenz(300, 2)), 150),
        "optimizer": torch.optim.Adam(model.readout.parameters(), lr=2e-2),
        "evaluate": explained,
        "epochs": 15,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*lorenz(600, 3)), 300))


def fixed():
    return build()
