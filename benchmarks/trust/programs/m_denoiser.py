"""Cleans short noisy chirps with a mask over their spectrum; clips of different lengths, silent after their end.

Bug: the loss takes the root of the spectrum's power without a floor: silent frames give infinite slopes times zero, and
the step is skipped whenever a gradient is not finite (as a GradScaler would)."""

from functools import cache

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "non-finite"
ALSO = ()
HIGHER = "truth"

SAMPLES, FRAME, HOP = 512, 64, 16
HANN = torch.hann_window(FRAME)


@cache
def chirps(count, seed):
    """Noisy and clean clips (N, SAMPLES); one clip in seven is short, and silence fills the rest."""
    rng = np.random.default_rng(seed)
    time = np.arange(SAMPLES)
    clean, length = np.zeros((count, SAMPLES)), np.full(count, SAMPLES)
    short = rng.random(count) < 1 / 7
    length[short] = rng.integers(SAMPLES // 3, SAMPLES - 2 * FRAME, short.sum())
    for row in range(count):
        begin, end = rng.uniform(0.1, 1.2, 2)
        phase = np.cumsum(np.linspace(begin, end, SAMPLES)) + rng.uniform(0, 2 * np.pi)
        clean[row] = rng.uniform(0.5, 1.0) * np.sin(phase) * (0.6 + 0.4 * np.sin(time / rng.uniform(20, 60)))
    noise = rng.normal(0, 1, (count, SAMPLES)) * rng.uniform(0.3, 0.7, (count, 1))
    heard = time < length[:, None]
    noisy, clean = (clean + noise) * heard, clean * heard
    return torch.tensor(noisy, dtype=torch.float32), torch.tensor(clean, dtype=torch.float32)


def spectrum(clips):
    """(N, SAMPLES) -> complex (N, bins, frames)."""
    return torch.stft(clips, FRAME, HOP, window=HANN, return_complex=True)


class MaskDenoiser(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        bins = FRAME // 2 + 1
        self.layers = nn.Sequential(
            nn.Conv1d(bins, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(width, width, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(width, bins, 1),
        )

    def forward(self, noisy):
        heard = spectrum(noisy)
        mask = torch.sigmoid(self.layers(torch.log1p(heard.abs())))
        return torch.istft(heard * mask, FRAME, HOP, window=HANN, length=SAMPLES)


class SpectralLoss(nn.Module):
    """L1 of the wave plus L1 of its magnitudes."""

    def __init__(self, floor):
        super().__init__()
        self.floor = floor

    def magnitude(self, clips):
        parts = torch.view_as_real(spectrum(clips))
        return parts.square().sum(-1).clamp_min(self.floor).sqrt() if self.floor else parts.square().sum(-1).sqrt()

    def forward(self, cleaned, clean):
        wave = (cleaned - clean).abs().mean()
        return wave + 0.1 * (self.magnitude(cleaned) - self.magnitude(clean)).abs().mean()


def make_step(loss):
    def step(model, batch, optimizer):
        model.train()
        noisy, clean = batch
        optimizer.zero_grad()
        cost = loss(model(noisy), clean)
        cost.backward()
        norm = nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        if torch.isfinite(norm):
            optimizer.step()
        return cost

    return step


def explained(model, loader):
    """1 - error's energy / clean energy, over the whole set."""
    model.eval()
    missed = total = 0.0
    with torch.no_grad():
        for noisy, clean in loader:
            missed += (model(noisy) - clean).square().sum().item()
            total += clean.square().sum().item()
    return 1 - missed / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model, loss = MaskDenoiser(), SpectralLoss(floor=None if buggy else 1e-8)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(*chirps(1200, 1)), 16, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*chirps(200, 2)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": make_step(loss),
        "evaluate": explained,
        "epochs": 6,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*chirps(500, 3)), 100))


def setup():
    return build(True)


def fixed():
    return build(False)
