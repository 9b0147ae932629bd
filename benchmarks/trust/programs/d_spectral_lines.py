"""A 1-d CNN that estimates the redshift of a galaxy from its (synthetic) emission-line spectrum.

Bug: the augmentation rolls a spectrum along the wavelength axis but leaves the redshift (which the roll changes) alone."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"

BINS = 192
# log-spaced wavelength grid: a redshift is a pure shift of the whole spectrum, by `shift` bins
LINES = torch.tensor([20.0, 31.0, 46.0, 52.0, 58.0, 84.0])  # rest-frame positions in bins
STRENGTH = torch.tensor([1.0, 0.3, 0.6, 0.9, 1.4, 0.8])
SPAN = 96.0  # the largest shift of the survey, in bins


def spectra(count, seed):
    g = torch.Generator().manual_seed(seed)
    shift = torch.rand(count, generator=g) * (SPAN - 36) + 18
    grid = torch.arange(BINS, dtype=torch.float32)
    strength = STRENGTH * torch.exp(0.3 * torch.randn(count, len(LINES), generator=g))
    centre = LINES[None] + shift[:, None]
    flux = (strength[..., None] * torch.exp(-0.5 * ((grid - centre[..., None]) / 1.8) ** 2)).sum(1)
    tilt = torch.randn(count, 1, generator=g) * 0.2
    flux = flux + tilt * (grid / BINS - 0.5) + 0.25 * torch.randn(count, BINS, generator=g)
    return flux[:, None], shift / SPAN


class Survey(Dataset):
    def __init__(self, flux, z, jitter=0, relabel=True):
        self.flux, self.z, self.jitter, self.relabel = flux, z, jitter, relabel

    def __len__(self):
        return len(self.z)

    def __getitem__(self, row):
        flux, z = self.flux[row], self.z[row]
        if self.jitter:
            move = int(torch.randint(-self.jitter, self.jitter + 1, ()))
            flux = flux.roll(move, -1)
            if self.relabel:
                z = z + move / SPAN
        return flux, z


class RedshiftNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 16, 7, stride=2, padding=3),
            nn.ReLU(),
            nn.Conv1d(16, 32, 7, stride=2, padding=3),
            nn.ReLU(),
            nn.Conv1d(32, 32, 5, stride=2, padding=2),
            nn.ReLU(),
        )
        self.head = nn.Sequential(nn.Flatten(), nn.Linear(32 * BINS // 8, 64), nn.ReLU(), nn.Linear(64, 1))

    def forward(self, flux):
        return self.head(self.body(flux)).squeeze(1)


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(flux), z) for flux, z in loader]
    found, z = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - z) ** 2).mean() / z.var(unbiased=False))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = RedshiftNet()
    train = Survey(*spectra(1500, 1), jitter=16, relabel=not buggy)
    val = Survey(*spectra(400, 2))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, batch_size=64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": r2,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(Survey(*spectra(1000, 3)), batch_size=200))


def setup():
    return build(True)


def fixed():
    return build(False)
