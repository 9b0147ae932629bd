"""Denoising diffusion over daily wind profiles at a met mast (24 hourly speeds), for synthetic yield studies."""

import math

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"

STEPS = 100
ALPHA_BAR = torch.cos(torch.linspace(0, 1, STEPS + 1)[1:] * math.pi / 2 * 0.98) ** 2
EPOCHS = 30
BATCH = 64


def profiles(days, seed):
    rng = np.random.default_rng(seed)
    hour = np.arange(24)
    kind = rng.integers(0, 3, (days, 1))
    peak = rng.normal(15, 1.5, (days, 1))
    sea_breeze = 4 * np.exp(-0.5 * ((hour - peak) / rng.uniform(2, 3.5, (days, 1))) ** 2)
    ramp = 6 / (1 + np.exp(-(hour - rng.uniform(6, 18, (days, 1))) / 0.8)) * rng.choice([-1, 1], (days, 1))
    jet = 3 * np.cos(2 * np.pi * (hour - 2) / 24) + 2
    speed = 7 + rng.normal(0, 1.2, (days, 1)) + np.where(kind == 0, sea_breeze, np.where(kind == 1, ramp, jet))
    speed = speed + rng.normal(0, 0.2, speed.shape)
    return torch.tensor((speed - 7.5) / 3, dtype=torch.float32)


def diffuse(days):
    """A batch of noisy days, their diffusion times, and the noise that is in them."""
    x0 = torch.stack(days)
    t = torch.randint(0, STEPS, (len(x0),))
    noise = torch.randn_like(x0)
    a = ALPHA_BAR[t][:, None]
    return (a.sqrt() * x0 + (1 - a).sqrt() * noise, t), noise


class Denoiser(nn.Module):
    def __init__(self, width=128):
        super().__init__()
        self.register_buffer("freqs", torch.exp(torch.linspace(0, 4, 16)))
        self.time = nn.Sequential(nn.Linear(32, width), nn.SiLU(), nn.Linear(width, width))
        self.inp = nn.Linear(24, width)
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(3)
        )
        self.out = nn.Linear(width, 24)

    def forward(self, x, t):
        angle = t[:, None] / STEPS * self.freqs
        e = self.time(torch.cat([angle.sin(), angle.cos()], 1))
        h = self.inp(x)
        for block in self.blocks:
            h = h + block(h + e)
        return self.out(h)


def train_step(model, batch, optimizer):
    model.train()
    (x, t), noise = batch
    loss = nn.functional.mse_loss(model(x, t), noise)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def warmup_cosine(total):
    warm = int(0.1 * total)

    def factor(step):
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / max(1, total - warm))))

    return factor


@torch.no_grad()
def noise_explained(model, loader):
    """1 - MSE of the predicted noise; noise has variance one."""
    model.eval()
    error = count = 0.0
    for (x, t), noise in loader:
        error += ((model(x, t) - noise) ** 2).sum().item()
        count += noise.numel()
    return 1 - error / count


def build(buggy, seed=0):
    torch.manual_seed(seed)
    days = list(profiles(1500, 1))
    train = DataLoader(days, batch_size=BATCH, shuffle=True, collate_fn=diffuse)
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-4)
    total = EPOCHS * len(days if buggy else train)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": train,
        "val": DataLoader(list(profiles(400, 2)), batch_size=200, collate_fn=diffuse),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, warmup_cosine(total)),
        "scheduler_step": "batch",
        "train_step": train_step,
        "evaluate": noise_explained,
        "epochs": EPOCHS,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(123)
        return noise_explained(model, DataLoader(list(profiles(2000, 3)), batch_size=500, collate_fn=diffuse))
