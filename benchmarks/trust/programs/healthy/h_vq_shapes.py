"""Compresses digits into four of 32 codes with a vector-quantised autoencoder and paints them again; score: R² of the pixels.

Near: gradient-cut, since the straight-through step and both commitment terms detach; target-leak, since the target is the
input itself; dead-units, since unused codes are moved to encoder outputs by hand."""

import torch
from material import digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "target-leak", "optimizer-missing-parameters", "dead-units")
CODES, WIDTH, PLACES = 32, 8, 4


def rows(part):
    x = (part.x - 4.9) / 6
    return TensorDataset(x, x)


class Codebook(nn.Module):
    """Codes follow their members by moving averages; a code without members takes the place of a random vector."""

    def __init__(self):
        super().__init__()
        self.register_buffer("codes", torch.randn(CODES, WIDTH) * 0.5)
        self.register_buffer("sums", self.codes.clone())
        self.register_buffer("counts", torch.ones(CODES))

    def forward(self, z):
        nearest = torch.cdist(z, self.codes).argmin(1)
        if self.training:
            with torch.no_grad():
                member = F.one_hot(nearest, CODES).float()
                self.counts.lerp_(member.sum(0), 0.05)
                self.sums.lerp_(member.T @ z, 0.05)
                empty = self.counts < 0.05
                fresh = z[torch.randint(len(z), (int(empty.sum()),))]
                self.sums[empty], self.counts[empty] = fresh, 1.0
                self.codes.copy_(self.sums / self.counts.unsqueeze(1))
        return self.codes[nearest]


class VQ(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 96), nn.ReLU(), nn.Linear(96, PLACES * WIDTH))
        self.book = Codebook()
        self.decoder = nn.Sequential(nn.Linear(PLACES * WIDTH, 96), nn.ReLU(), nn.Linear(96, 64))

    def forward(self, x):
        z = self.encoder(x).view(-1, WIDTH)
        code = self.book(z)
        through = z + (code - z).detach()
        return self.decoder(through.view(len(x), -1)), F.mse_loss(z, code.detach())


def loss(outputs, x):
    painted, commitment = outputs
    return F.mse_loss(painted, x) + 0.25 * commitment


@torch.no_grad()
def r2(model, loader):
    model.eval()
    painted, x = (torch.cat(part) for part in zip(*((model(x)[0], y) for x, y in loader), strict=True))
    return 1 - ((painted - x).square().mean() / (x - x.mean(0)).square().mean()).item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = VQ()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(rows(parts.train), batch_size=30, shuffle=True),
        "val": DataLoader(rows(parts.val), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 30,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(rows(digits().test), batch_size=200))


def fixed():
    return build()
