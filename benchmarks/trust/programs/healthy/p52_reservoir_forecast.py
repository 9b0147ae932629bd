"""A chaotic chemical oscillator (Mackey-Glass) five samples ahead, by a fixed random reservoir with a learned readout."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "init-scale")

WARM, LENGTH, AHEAD = 20, 80, 5


def mackey_glass(n, seed, tau=17):
    rng = np.random.default_rng(seed)
    x = list(1.2 + 0.2 * rng.normal(size=tau + 1))
    for _ in range(n + 300):
        x.append(x[-1] + 0.2 * x[-1 - tau] / (1 + x[-1 - tau] ** 10) - 0.1 * x[-1])
    series = np.array(x[-n:]) + 0.01 * rng.normal(size=n)
    return ((series - 0.93) / 0.23).astype(np.float32)


def windows(n, seed, stride=8):
    s = mackey_glass(n, seed)
    starts = np.arange(0, n - LENGTH - AHEAD, stride)
    x = np.stack([s[i : i + LENGTH] for i in starts])[..., None]
    y = np.stack([s[i + AHEAD : i + AHEAD + LENGTH] for i in starts])[..., None]
    return TensorDataset(torch.from_numpy(x), torch.from_numpy(y))


class EchoState(nn.Module):
    def __init__(self, units=150, radius=0.9, leak=0.7):
        super().__init__()
        w = torch.randn(units, units) * (torch.rand(units, units) < 0.1)
        w = w * radius / torch.linalg.eigvals(w).abs().max()
        self.recurrent = nn.Parameter(w, requires_grad=False)
        self.inward = nn.Parameter(torch.empty(units, 2).uniform_(-0.8, 0.8), requires_grad=False)
        self.readout = nn.Linear(units + 1, 1)
        self.leak = leak

    @torch.no_grad()
    def states(self, x):
        h = x.new_zeros(len(x), len(self.recurrent))
        out = []
        for u in x.unbind(1):
            drive = torch.cat([u, torch.ones_like(u)], 1) @ self.inward.T
            h = (1 - self.leak) * h + self.leak * torch.tanh(drive + h @ self.recurrent.T)
            out.append(torch.cat([h, u], 1))
        return torch.stack(out, 1)

    def forward(self, x):
        return self.readout(self.states(x))


def after_warmup(output, target):
    """The first samples only fill the reservoir."""
    return nn.functional.mse_loss(output[:, WARM:], target[:, WARM:])


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(v)[:, WARM:] for v in zip(*((model(x), y) for x, y in loader), strict=True))
    return (1 - ((p - y) ** 2).mean() / y.var()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = EchoState()
    return {
        "model": model,
        "loss": after_warmup,
        "train": DataLoader(windows(4000, 1), batch_size=32, shuffle=True),
        "val": DataLoader(windows(1500, 2), batch_size=128),
        "optimizer": torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=5e-3),
        "evaluate": r2,
        "epochs": 25,
        "causal": True,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return r2(model, DataLoader(windows(3000, 3), batch_size=128))
