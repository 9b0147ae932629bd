"""Smoothing of a recorded flight: the whole noisy path is there, so a bidirectional GRU may look ahead of each step."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("time-leak",)


def flights(rows, seed):
    """Noisy and true sideways speed of a body that turns now and then, 40 steps."""
    g = torch.Generator().manual_seed(seed)
    turns = torch.rand(rows, 40, generator=g) < 0.08
    aims = 1.2 * torch.randn(rows, 40, generator=g)
    speed, aim, path = torch.randn(rows, generator=g), torch.randn(rows, generator=g), []
    for t in range(40):
        aim = torch.where(turns[:, t], aims[:, t], aim)
        speed = speed + 0.6 * (aim - speed)
        path.append(speed)
    true = torch.stack(path, 1)
    return TensorDataset((true + 0.6 * torch.randn(rows, 40, generator=g))[..., None], true)


class Smoother(nn.Module):
    def __init__(self):
        super().__init__()
        self.rnn = nn.GRU(1, 24, batch_first=True, bidirectional=True)
        self.out = nn.Linear(48, 1)

    def forward(self, x):
        h, _ = self.rnn(x)
        return self.out(h)[..., 0]


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(c) for c in zip(*((model(x), y) for x, y in loader), strict=False))
    return (1 - (p - y).square().mean() / y.var()).item()


def step(model, batch, optimizer):
    model.train()
    noisy, true = batch
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(noisy), true)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Smoother()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(flights(2000, 1), batch_size=50, shuffle=True),
        "val": DataLoader(flights(400, 2), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "train_step": step,
        "evaluate": r2,
        "epochs": 5,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return r2(model, DataLoader(flights(1500, 3), batch_size=500))
