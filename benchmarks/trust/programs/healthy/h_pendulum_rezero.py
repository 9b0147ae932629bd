"""Steps of a damped double pendulum's angle by residual branches that begin at zero (ReZero, zero last layers)."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init",)


def states(rows, seed):
    """State now, and the change over 0.4 s of it, in units of its spread."""
    g = torch.Generator().manual_seed(seed)
    now = torch.randn(rows, 4, generator=g) * torch.tensor([1.2, 1.2, 1.5, 1.5])
    a, b, u, v = now.T.clone()
    for _ in range(40):
        pull = torch.sin(a - b)
        u, v = u + 0.01 * (-9 * a.sin() - 4 * pull - 0.1 * u), v + 0.01 * (-6 * b.sin() + 7 * pull - 0.1 * v)
        a, b = a + 0.01 * u, b + 0.01 * v
    change = torch.stack([a, b, u, v], 1) - now
    return TensorDataset(now, change / torch.tensor([0.7, 0.7, 2.4, 2.4]))


class Branch(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inside = nn.Sequential(nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
        nn.init.zeros_(self.inside[2].weight)
        nn.init.zeros_(self.inside[2].bias)

    def forward(self, x):
        return x + self.inside(x)


class Pendulum(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.enter, self.leave = nn.Linear(4, width), nn.Linear(width, 4)
        self.branches = nn.Sequential(*(Branch(width) for _ in range(3)))

    def forward(self, x):
        return self.leave(self.branches(torch.tanh(self.enter(x))))


@torch.no_grad()
def r2(model, loader):
    model.eval()
    p, y = (torch.cat(c) for c in zip(*((model(x), y) for x, y in loader), strict=False))
    return (1 - (p - y).square().mean(0) / y.var(0)).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Pendulum()
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(states(3000, 1), batch_size=64, shuffle=True),
        "val": DataLoader(states(600, 2), batch_size=300),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": 20,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return r2(model, DataLoader(states(2000, 3), batch_size=500))
