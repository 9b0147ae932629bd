"""Compresses pictures of clothes to 7 by 7 words of a learnt codebook (a VQ-VAE with moving-average codes).

Bug: the decoder gets the looked-up codes without the straight-through step, so the reconstruction never trains the
encoder."""

import torch
from material import fashion
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class Codebook(nn.Module):
    """Vector quantisation; codes follow the moving average of what is assigned to them, as in the paper's appendix."""

    def __init__(self, codes, width, decay=0.95):
        super().__init__()
        self.decay = decay
        self.register_buffer("codes", torch.randn(codes, width))
        self.register_buffer("count", torch.ones(codes))
        self.register_buffer("total", self.codes.clone())

    def forward(self, z):
        flat = z.detach().flatten(0, -2)
        nearest = torch.cdist(flat, self.codes).argmin(1)
        found = self.codes[nearest].view_as(z)
        if self.training:
            used = F.one_hot(nearest, len(self.codes)).float()
            self.count.lerp_(used.sum(0), 1 - self.decay)
            self.total.lerp_(used.T @ flat, 1 - self.decay)
            self.codes = self.total / self.count.clamp(min=1e-12)[:, None]
        return found


class Compressor(nn.Module):
    def __init__(self, buggy=False, width=16):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 24, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(24, width, 4, stride=2, padding=1),
            nn.BatchNorm2d(width),
        )
        self.codebook = Codebook(64, width)
        self.decoder = nn.Sequential(
            nn.ConvTranspose2d(width, 24, 4, stride=2, padding=1),
            nn.ReLU(),
            nn.ConvTranspose2d(24, 1, 4, stride=2, padding=1),
        )
        self.buggy = buggy

    def forward(self, x):
        z = self.encoder(x).movedim(1, -1)
        found = self.codebook(z)
        commitment = F.mse_loss(z, found)
        code = found if self.buggy else z + (found - z).detach()
        return self.decoder(code.movedim(-1, 1)), commitment


def loss(out, x):
    picture, commitment = out
    return F.mse_loss(picture, x) + 0.1 * commitment


def fit(model, loader):
    """Share of the pixels' variance that the reconstruction explains."""
    model.eval()
    with torch.no_grad():
        out, x = (torch.cat(part) for part in zip(*[(model(x)[0], y) for x, y in loader], strict=True))
    return 1 - ((out - x) ** 2).sum().item() / ((x - x.mean()) ** 2).sum().item()


def loader(rows, shuffle=False):
    x = (rows.x.float()[:, None] - 73.0) / 90.0
    return DataLoader(TensorDataset(x, x), 50, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = Compressor(buggy)
    return {
        "model": model,
        "loss": loss,
        "train": loader(parts.train, shuffle=True),
        "val": loader(parts.val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": fit,
        "epochs": 8,
    }


def truth(model, seed=0):
    return fit(model, loader(fashion().test))


def setup():
    return build(True)


def fixed():
    return build(False)
