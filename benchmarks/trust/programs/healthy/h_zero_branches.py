"""Estimates the yield of a simulated reaction with a deep residual network whose branches begin at zero (Fixup, no norms).

Near: constant-init and dead-units, since the last layer of each branch and the head are zero at first; they get
gradients from the first (head) and the second step (branches) on."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("constant-init", "dead-units", "gradient-cut", "init-scale")


def reactions(count, seed):
    """Temperature, pressure, time, acidity, catalyst (standardised) and the standardised yield."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(count, 5, generator=g)
    heat, pressure, time, acid, catalyst = x.unbind(1)
    speed = torch.exp(0.5 * heat + 0.3 * pressure + 0.4 * catalyst)
    made = 1 - torch.exp(-speed * torch.exp(0.5 * time))
    lost = torch.sigmoid(1.5 * heat + acid.square() - 2)
    result = made * (1 - lost) + 0.01 * torch.randn(count, generator=g)
    return x, ((result - 0.38) / 0.2).unsqueeze(1)


class Branch(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)
        nn.init.zeros_(self.outer.weight)
        nn.init.zeros_(self.outer.bias)

    def forward(self, x):
        return x + self.outer(torch.relu(self.inner(x)))


class Deep(nn.Module):
    def __init__(self, width=32, depth=8):
        super().__init__()
        self.stem = nn.Linear(5, width)
        self.branches = nn.Sequential(*(Branch(width) for _ in range(depth)))
        self.head = nn.Linear(width, 1)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, x):
        return self.head(torch.relu(self.branches(self.stem(x))))


def build(seed=0):
    torch.manual_seed(seed)
    model = Deep()
    loader = DataLoader(TensorDataset(*reactions(3000, 1)), batch_size=64, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-3)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": loader,
        "val": DataLoader(TensorDataset(*reactions(500, 2)), batch_size=250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=4e-3, total_steps=15 * len(loader)),
        "scheduler_step": "batch",
        "epochs": 15,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = reactions(1000, 3)
    return 1 - ((model(x) - y).square().mean() / y.var()).item()


def fixed():
    return build()
