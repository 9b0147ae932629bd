"""A variational autoencoder of small handwritten digits; its honest score is the variance explained from the mean code.

Bug: the code is drawn by `sample`, through which the reconstruction sends no gradient to the encoder."""

import material
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class VAE(nn.Module):
    def __init__(self, draw, code=8, width=128):
        super().__init__()
        self.draw = draw
        self.encoder = nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, width), nn.ReLU(), nn.Linear(width, 64))

    def posterior(self, x):
        mean, log_std = self.encoder(x).chunk(2, dim=1)
        return Normal(mean, log_std.clamp(-6, 3).exp())

    def forward(self, x):
        code = self.posterior(x)
        drawn = self.draw(code) if self.training else code.mean
        return self.decoder(drawn), code.mean, code.stddev


def negative_elbo(outputs, x):
    """Gaussian pixels of deviation 0.2, in nats per pixel."""
    pixels, mean, std = outputs
    fit = (pixels - x).square().sum(1) / (2 * 0.2**2)
    cost = kl_divergence(Normal(mean, std), Normal(0.0, 1.0)).sum(1)
    return (fit + cost).mean() / 64


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x)[0], x) for x, _ in loader]
    out, x = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (1 - (out - x).square().sum() / (x - x.mean(0)).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.digits()
    train, val = (TensorDataset(part.x / 16, part.x / 16) for part in (parts.train, parts.val))
    model = VAE(draw=Normal.sample if buggy else Normal.rsample)
    return {
        "model": model,
        "loss": negative_elbo,
        "train": DataLoader(train, 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 40,
    }


def truth(model, seed=0):
    x = material.digits().test.x / 16
    return explained(model, [(x, x)])


def setup():
    return build(True)


def fixed():
    return build(False)
