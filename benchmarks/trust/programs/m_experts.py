"""A mixture of experts that predicts the power of a simulated wind turbine over its three regimes.

Bug: the experts sit in a plain list, so neither parameters() nor the optimizer has them."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"


def turbine(count, seed):
    """Wind speed, gust, direction, temperature and pitch (standardised), and the power in MW."""
    g = torch.Generator().manual_seed(seed)
    wind = 25 * torch.rand(count, generator=g)
    gust = torch.rand(count, generator=g)
    angle = 2 * torch.pi * torch.rand(count, generator=g)
    cold = torch.randn(count, generator=g)
    pitch = torch.rand(count, generator=g)
    density = 1.2 - 0.05 * cold
    rising = 2.2 * density * (wind / 12) ** 3 * (1 - 0.4 * pitch) * (1 + 0.1 * torch.cos(angle))
    power = torch.where(wind < 3, torch.zeros(()), torch.minimum(rising, 2.5 - 0.5 * pitch))
    power = torch.where(wind + 3 * gust > 24, torch.zeros(()), power)
    x = torch.stack(
        [wind / 7.2 - 1.73, 3.46 * (gust - 0.5), torch.sin(angle), torch.cos(angle), cold, 3.46 * (pitch - 0.5)], 1
    )
    return x, (power + 0.05 * torch.randn(count, generator=g)).unsqueeze(1)


def expert(width=24):
    return nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 1))


class Mixture(nn.Module):
    def __init__(self, buggy, experts=6):
        super().__init__()
        parts = [expert() for _ in range(experts)]
        self.experts = parts if buggy else nn.ModuleList(parts)
        self.gate = nn.Sequential(nn.Linear(6, 32), nn.Tanh(), nn.Linear(32, experts))

    def forward(self, x):
        answers = torch.cat([part(x) for part in self.experts], 1)
        return (self.gate(x).softmax(1) * answers).sum(1, keepdim=True)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Mixture(buggy)
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)

    def train_step(model, batch, optimizer):
        x, y = batch
        model.train()
        optimizer.zero_grad()
        loss = nn.functional.mse_loss(model(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return {
        "model": model,
        "loss": nn.functional.mse_loss,
        "train": DataLoader(TensorDataset(*turbine(3000, 1)), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*turbine(600, 2)), batch_size=300),
        "optimizer": optimizer,
        "train_step": train_step,
        "epochs": 25,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = turbine(1500, 3)
    return 1 - ((model(x) - y).square().mean() / y.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
