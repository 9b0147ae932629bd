"""Learns to take noise of any size off points in a plane, as a diffusion model does; judged against the exact answer.

Near: noise and its size are drawn anew for each batch, so that equal rows come with unlike inputs, the loss can't come
near 0, and the last layer begins at zero; what is learned is the mean of the clean points, whose closed form is known."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader

BUG = None
NEAR = ("label-noise", "constant-init", "worker-seeds", "input-scale")
RING = torch.tensor([[math.cos(a), math.sin(a)] for a in torch.arange(6).mul(math.pi / 3).tolist()]) * 1.5
WIDE = 0.15  # of each of the six clusters


def points(rows, seed):
    g = torch.Generator().manual_seed(seed)
    return RING[torch.randint(0, 6, (rows,), generator=g)] + WIDE * torch.randn(rows, 2, generator=g)


def blur(clean, generator=None):
    """Noisy points and the logarithm of the noise's size, from 0.1 to 2."""
    rows = len(clean)
    log_size = math.log(0.1) + math.log(20) * torch.rand(rows, 1, generator=generator)
    return clean + log_size.exp() * torch.randn(rows, 2, generator=generator), log_size


def collate(batch):
    clean = torch.stack(batch)
    return blur(clean), clean


class Denoiser(nn.Module):
    """Says the clean point; the noisy one is first brought to unit size."""

    def __init__(self, width=64):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(3, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU()
        )
        self.head = nn.Linear(width, 2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, noisy, log_size):
        spread = (1.2 + log_size.exp().square()).sqrt()
        return self.head(self.body(torch.cat([noisy / spread, log_size], dim=1)))


def exact(noisy, log_size):
    """Mean of the clean point, given the noisy one: the clusters' means, weighed by how likely each is."""
    size = log_size.exp().square()
    apart = (noisy[:, None] - RING).square().sum(2)
    weight = (-apart / (2 * (WIDE**2 + size))).softmax(1)
    pull = WIDE**2 / (WIDE**2 + size)
    return weight @ RING * (1 - pull) + pull * noisy


def build(seed=0):
    torch.manual_seed(seed)
    model = Denoiser()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-4)
    train = DataLoader(list(points(3000, 1)), batch_size=100, shuffle=True, collate_fn=collate)
    clean = points(500, 2)
    inputs = blur(clean, torch.Generator().manual_seed(2))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": train,
        "val": [(inputs, clean)],
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 25 * len(train)),
        "scheduler_step": "batch",
        "epochs": 25,
    }


def truth(model, seed=0):
    """R² against the exact mean."""
    inputs = blur(points(1500, 3), torch.Generator().manual_seed(3))
    y = exact(*inputs)
    model.eval()
    with torch.no_grad():
        rest = (model(*inputs) - y).square().sum()
    return 1 - (rest / (y - y.mean(0)).square().sum()).item()


def fixed():
    return build()
