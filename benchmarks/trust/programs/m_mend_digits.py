"""Takes the noise out of scanned digits with a denoising autoencoder; score: R² of the clean pixels.

Bug: AdamW became Adam at the same weight_decay=0.01, which goes into the gradients there and pulls all weights to zero."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "weight-decay-too-high"
ALSO = ()
HIGHER = "truth"
NOISE = 0.6


def scaled(rows):
    return (rows.x - 4.9) / 6


class Spoiled(Dataset):
    """A clean row under noise (fresh each time, or kept by a seed), and the clean row."""

    def __init__(self, clean, seed=None):
        self.clean = clean
        self.kept = None
        if seed is not None:
            self.kept = NOISE * torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))

    def __len__(self):
        return len(self.clean)

    def __getitem__(self, index):
        noise = NOISE * torch.randn(64) if self.kept is None else self.kept[index]
        return self.clean[index] + noise, self.clean[index]


class Mender(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Linear(64, 96), nn.LeakyReLU(0.1), nn.Linear(96, 24))
        self.decoder = nn.Sequential(nn.LeakyReLU(0.1), nn.Linear(24, 96), nn.LeakyReLU(0.1), nn.Linear(96, 64))

    def forward(self, x):
        return self.decoder(self.encoder(x))


@torch.no_grad()
def mended(model, loader):
    model.eval()
    said, clean = (torch.cat(part) for part in zip(*((model(x), y) for x, y in loader), strict=True))
    return 1 - ((said - clean).square().mean() / (clean - clean.mean(0)).square().mean()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = Mender()
    kind = torch.optim.Adam if buggy else torch.optim.AdamW
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Spoiled(scaled(parts.train)), batch_size=30, shuffle=True),
        "val": DataLoader(Spoiled(scaled(parts.val), seed=1), batch_size=100),
        "optimizer": kind(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": mended,
        "epochs": 25,
    }


def truth(model, seed=0):
    return mended(model, DataLoader(Spoiled(scaled(digits().test), seed=2), batch_size=200))


def setup():
    return build(True)


def fixed():
    return build(False)
