"""A variational autoencoder of small (14 x 14) Fashion-MNIST pictures; its score is R² of the reconstruction.

Bug: the latent is drawn by Normal.sample(), through which no gradient comes back to the encoder, not by rsample()."""

import torch
from material import fashion
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"


class VAE(nn.Module):
    def __init__(self, buggy, latent=12):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 16, 4, stride=2, padding=1), nn.SiLU(), nn.Conv2d(16, 32, 3, stride=2), nn.SiLU(), nn.Flatten(),
            nn.Linear(288, 2 * latent),
        )  # fmt: skip
        self.decoder = nn.Sequential(nn.Linear(latent, 128), nn.SiLU(), nn.Linear(128, 196), nn.Sigmoid())
        self.buggy = buggy

    def forward(self, x):
        mean, logs = self.encoder(x).chunk(2, dim=1)
        posterior = Normal(mean, torch.exp(0.5 * logs))
        if not self.training:
            latent = mean
        elif self.buggy:
            latent = posterior.sample()
        else:
            latent = posterior.rsample()
        return self.decoder(latent).view_as(x), posterior


def negative_elbo(outputs, targets):
    pictures, posterior = outputs
    misfit = (pictures - targets).square().flatten(1).sum(1) / (2 * 0.15**2)
    divergence = kl_divergence(posterior, Normal(0.0, 1.0)).sum(1)
    return (misfit + divergence).mean()


def small(pictures):
    return F.avg_pool2d(pictures.float().unsqueeze(1) / 255, 2)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    train, val = small(parts.train.x), small(parts.val.x)
    model = VAE(buggy)
    return {
        "model": model,
        "loss": negative_elbo,
        "train": DataLoader(TensorDataset(train, train), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(val, val), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 10,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x = small(fashion().test.x)
    return 1 - ((model(x)[0] - x).square().mean() / (x - x.mean(0)).square().mean()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
