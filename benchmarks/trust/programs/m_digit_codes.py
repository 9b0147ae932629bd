"""A variational autoencoder of scanned digits with a code of 8 numbers.

Bug: the code is drawn with sample(), through which no gradient passes, so the encoder never hears of the picture."""

import torch
from material import digits
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class Autoencoder(nn.Module):
    def __init__(self, reparameterised, code=8):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 96), nn.SiLU(), nn.Linear(96, 2 * code))
        self.decoder = nn.Sequential(nn.Linear(code, 96), nn.SiLU(), nn.Linear(96, 64))
        self.reparameterised = reparameterised

    def forward(self, x):
        mean, raw = self.encoder(x).chunk(2, 1)
        posterior = Normal(mean, nn.functional.softplus(raw) + 1e-4)
        code = mean if not self.training else posterior.rsample() if self.reparameterised else posterior.sample()
        divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
        return self.decoder(code), divergence


def elbo(outputs, pictures):
    """Minus the evidence bound, with pixels as Gaussians of deviation 0.2."""
    picture, divergence = outputs
    return (((picture - pictures) ** 2).sum(1) / (2 * 0.2**2) + divergence).mean()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    x, held = parts.train.x / 16, parts.val.x / 16
    model = Autoencoder(reparameterised=not buggy)
    return {
        "model": model,
        "loss": elbo,
        "train": DataLoader(TensorDataset(x, x), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(held, held), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 30,
    }


@torch.no_grad()
def explained(model, loader):
    """Share of the pixels' variance that the decoded means keep."""
    model.eval()
    pairs = [(model(x)[0], y) for x, y in loader]
    picture, wanted = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((picture - wanted) ** 2).sum().item() / ((wanted - wanted.mean(0)) ** 2).sum().item()


def truth(model, seed=0):
    x = digits().test.x / 16
    return explained(model, [(x, x)])


def setup():
    return build(True)


def fixed():
    return build(False)
