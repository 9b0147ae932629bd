"""The speed of sound in sea water from temperature, salinity and depth, fitted by L-BFGS.

Near: a learning rate of 1 (the strong Wolfe search picks the true step), one batch of all rows that is never shuffled,
and raw inputs of unlike sizes that the model itself scales."""

import torch
from torch import nn

BUG = None
NEAR = ("lr-too-high", "unshuffled", "input-scale", "stale-gradients")


def casts(rows, seed):
    """Temperature (deg C), salinity (g/kg), depth (m); the speed by Mackenzie's equation in m/s off 1500, over 20."""
    g = torch.Generator().manual_seed(seed)
    low, high = torch.tensor([2.0, 25.0, 0.0]), torch.tensor([30.0, 40.0, 4000.0])
    x = low + (high - low) * torch.rand(rows, 3, generator=g)
    t, s, d = x.unbind(1)
    speed = 1448.96 + 4.591 * t - 5.304e-2 * t**2 + 2.374e-4 * t**3 + 1.340 * (s - 35) + 1.630e-2 * d
    speed = speed + 1.675e-7 * d**2 - 1.025e-2 * t * (s - 35) - 7.139e-13 * t * d**3
    speed = speed + 0.5 * torch.randn(rows, generator=g)
    return x, (speed.unsqueeze(1) - 1500) / 20


class Speed(nn.Module):
    def __init__(self, mean, deviation):
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("deviation", deviation)
        self.net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 1))

    def forward(self, x):
        return self.net((x - self.mean) / self.deviation)


loss = nn.MSELoss()


def step(model, batch, optimizer):
    model.train()
    x, y = batch

    def closure():
        optimizer.zero_grad()
        error = loss(model(x), y)
        error.backward()
        return error

    return optimizer.step(closure)


def explained(model, batches):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in batches], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(seed=0):
    torch.manual_seed(seed)
    x, y = casts(400, 41)
    model = Speed(x.mean(0), x.std(0))
    return {
        "model": model,
        "loss": loss,
        "train": [(x, y)],
        "val": [casts(200, 42)],
        "optimizer": torch.optim.LBFGS(model.parameters(), lr=1.0, max_iter=20, line_search_fn="strong_wolfe"),
        "train_step": step,
        "evaluate": explained,
        "epochs": 12,
    }


def truth(model, seed=0):
    return explained(model, [casts(2000, 43)])


def fixed():
    return build()
