"""A six-number code of single heartbeats (64 samples of an ECG lead), by a variational autoencoder."""

import numpy as np
import torch
from torch import nn
from torch.distributions import Normal, kl_divergence
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"

BETA = 0.02


def beats(n, seed):
    """P wave, QRS complex and T wave as bumps whose height, width and place vary from patient to patient."""
    rng = np.random.default_rng(seed)
    t = np.linspace(0, 1, 64)[None]

    def bump(height, place, width):
        return height[:, None] * np.exp(-0.5 * ((t - place[:, None]) / width[:, None]) ** 2)

    def u(a, b):
        return rng.uniform(a, b, n)

    r = u(0.35, 0.45)
    x = bump(u(0.05, 0.3), r - u(0.14, 0.22), u(0.02, 0.035))
    x += bump(u(0.8, 1.6), r, u(0.012, 0.025)) - bump(u(0.1, 0.5), r + 0.05, u(0.012, 0.02))
    x += bump(u(-0.2, 0.6), r + u(0.22, 0.34), u(0.04, 0.07))
    x += rng.normal(0, 0.03, x.shape)
    x = torch.tensor(x, dtype=torch.float32)
    return TensorDataset(x, x)


class BeatVAE(nn.Module):
    def __init__(self, latent=6):
        super().__init__()
        self.enc = nn.Sequential(nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 64), nn.GELU())
        self.mu, self.log_sd = nn.Linear(64, latent), nn.Linear(64, latent)
        self.dec = nn.Sequential(nn.Linear(latent, 64), nn.GELU(), nn.Linear(64, 96), nn.GELU(), nn.Linear(96, 64))

    def posterior(self, x):
        h = self.enc(x)
        return Normal(self.mu(h), self.log_sd(h).clamp(-6, 2).exp())

    def draw(self, q):
        return q.rsample()

    def forward(self, x):
        q = self.posterior(x)
        z = self.draw(q) if self.training else q.mean
        return self.dec(z), q.mean, q.stddev


class BeatVAE2(BeatVAE):
    def draw(self, q):
        return q.sample()


def elbo_loss(outputs, x):
    recon, mean, sd = outputs
    kl = kl_divergence(Normal(mean, sd), Normal(torch.zeros_like(mean), torch.ones_like(sd))).sum(1)
    return (((recon - x) ** 2).sum(1) / 0.2 + BETA * kl).mean()


def step(model, batch, optimizer):
    model.train()
    x, target = batch
    optimizer.zero_grad(set_to_none=True)
    loss = elbo_loss(model(x), target)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss.detach()


@torch.no_grad()
def explained(model, loader):
    """Share of the variance of the beats that is kept by the code."""
    model.eval()
    x = torch.cat([b[0] for b in loader])
    recon = torch.cat([model(b[0])[0] for b in loader])
    return (1 - ((recon - x) ** 2).sum() / ((x - x.mean(0)) ** 2).sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = (BeatVAE2 if buggy else BeatVAE)()
    return {
        "model": model,
        "loss": elbo_loss,
        "train": DataLoader(beats(1800, 1), batch_size=60, shuffle=True),
        "val": DataLoader(beats(400, 2), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train_step": step,
        "evaluate": explained,
        "epochs": 25,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return explained(model, DataLoader(beats(1000, 3), batch_size=500))
