"""Fills the gaps in a buoy's record of wave height from what was measured before and after them.

Near: outputs depend on later inputs, which a gap filler may look at; outside the gaps the target is the input itself,
and the loss counts the gaps alone."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("time-leak", "target-leak", "wrong-loss", "metric-wrong")
HOURS = 60


def records(rows, seed):
    """Inputs (rows, 60, 2): height with zeros in the gaps, and where it was measured; targets (rows, 60, 2): height, gap."""
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(HOURS).float()
    height = torch.zeros(rows, HOURS)
    for _ in range(3):
        period = 14 + 26 * torch.rand(rows, 1, generator=g)
        phase = 6.3 * torch.rand(rows, 1, generator=g)
        height += torch.randn(rows, 1, generator=g) * torch.sin(6.283 * t / period + phase)
    height = height + 0.05 * torch.randn(rows, HOURS, generator=g)
    gap = torch.zeros(rows, HOURS)
    for _ in range(2):
        begin, length = torch.randint(4, 48, (rows, 1), generator=g), torch.randint(3, 9, (rows, 1), generator=g)
        gap[(t >= begin) & (t < begin + length)] = 1
    return torch.stack([height * (1 - gap), 1 - gap], 2), torch.stack([height, gap], 2)


class Filler(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.memory = nn.GRU(2, width, batch_first=True, bidirectional=True)
        self.read = nn.Sequential(nn.Linear(2 * width, 32), nn.GELU(), nn.Linear(32, 1))

    def forward(self, record):
        return self.read(self.memory(record)[0]).squeeze(2)


def gap_error(height, targets):
    true, gap = targets.unbind(2)
    return ((height - true) ** 2 * gap).sum() / gap.sum()


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    gap = y[..., 1] == 1
    p, y = p[gap], y[..., 0][gap]
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Filler()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return {
        "model": model,
        "loss": gap_error,
        "train": DataLoader(TensorDataset(*records(1000, 71)), 40, shuffle=True),
        "val": DataLoader(TensorDataset(*records(200, 72)), 100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7),
        "evaluate": explained,
        "epochs": 7,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*records(400, 73)), 200))


def fixed():
    return build()
