"""An echo-state network foretells the Mackey-Glass series six steps on: a fixed random reservoir and a trained linear readout.

Near: nearly all weights are frozen, at a drawn scale, and the state is computed without gradients; that is what a
reservoir is. Only the readout has gradients and only it is in the optimizer; its input is its own standardised state."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut", "no-nonlinearity", "init-scale")

LENGTH, AHEAD, WASHOUT = 100, 6, 30


def mackey_glass(count, seed):
    """Windows of LENGTH + AHEAD of independent runs, as differences from 0.9, in units of 0.25."""
    g = torch.Generator().manual_seed(seed)
    past = [0.5 + 0.8 * torch.rand(count, generator=g) for _ in range(18)]
    for _ in range(150 + LENGTH + AHEAD):
        x, late = past[-1], past[-18]
        past.append(x + 0.2 * late / (1 + late**10) - 0.1 * x)
    return ((torch.stack(past[-LENGTH - AHEAD :], 1) - 0.9) / 0.25)[..., None]


class Reservoir(nn.Module):
    def __init__(self, size=100):
        super().__init__()
        recurrent = torch.randn(size, size) * (torch.rand(size, size) < 0.1)
        radius = torch.linalg.eigvals(recurrent).abs().max()
        self.recurrent = nn.Parameter(0.9 * recurrent / radius, requires_grad=False)
        self.inward = nn.Parameter(torch.randn(1, size) * 0.5, requires_grad=False)
        self.bias = nn.Parameter(torch.randn(size) * 0.3, requires_grad=False)
        self.norm = nn.LayerNorm(size, elementwise_affine=False)
        self.readout = nn.Linear(size, 1)

    @torch.no_grad()
    def states(self, series):
        h, path = series.new_zeros(len(series), self.recurrent.shape[0]), []
        for x in series.unbind(1):
            h = 0.5 * h + 0.5 * torch.tanh(h @ self.recurrent + x @ self.inward + self.bias)
            path.append(h)
        return torch.stack(path, 1)

    def forward(self, series):
        return self.readout(self.norm(self.states(series)))


def settled(found, wanted):
    """The first steps are for the reservoir to forget its start."""
    return nn.functional.mse_loss(found[:, WASHOUT:], wanted[:, WASHOUT:])


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(settled(found, y) / y[:, WASHOUT:].var())


def loader(count, seed, order=None):
    series = mackey_glass(count, seed)
    data = TensorDataset(series[:, :LENGTH], series[:, AHEAD:])
    if order is None:
        return DataLoader(data, batch_size=100)
    return DataLoader(data, batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(order))


def build(seed=0):
    torch.manual_seed(seed)
    model = Reservoir()
    return {
        "model": model,
        "loss": settled,
        "train": loader(400, 1, seed),
        "val": loader(100, 2),
        "optimizer": torch.optim.Adam(model.readout.parameters(), lr=1e-2),
        "evaluate": r2,
        "epochs": 12,
        "causal": True,
    }


def truth(model, seed=0):
    return r2(model, loader(200, 3))


def fixed():
    return build()
