"""Reads the wind (east, north) off a satellite picture of a volcano's ash plume; training pictures are mirrored at random.

Bug: a mirrored picture keeps its wind, where the east component ought to change its sign."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
SIZE = 24


def plumes(rows, seed):
    """Pictures (rows, 1, 24, 24) with the volcano at the centre, and the wind in units of 10 m/s."""
    rng = np.random.default_rng(seed)
    wind = rng.normal(0, 0.7, (rows, 2))
    ys, xs = np.mgrid[:SIZE, :SIZE] - (SIZE - 1) / 2
    pictures = rng.normal(0, 0.15, (rows, SIZE, SIZE))
    for row, (east, north) in enumerate(wind):
        for age in np.linspace(0, 1, 9):
            x, y = 8 * east * age + rng.normal(0, 0.4), -8 * north * age + rng.normal(0, 0.4)
            pictures[row] += 0.5 * np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / (2 * (1 + 2 * age) ** 2))
    return torch.tensor(pictures, dtype=torch.float32).unsqueeze(1), torch.tensor(wind, dtype=torch.float32)


class Plumes(Dataset):
    def __init__(self, pictures, wind, mirror=0.0, turn_wind=True):
        self.pictures, self.wind, self.mirror, self.turn_wind = pictures, wind, mirror, turn_wind

    def __len__(self):
        return len(self.wind)

    def __getitem__(self, row):
        picture, wind = self.pictures[row], self.wind[row]
        if torch.rand(()) < self.mirror:
            picture = picture.flip(-1)
            if self.turn_wind:
                wind = wind * torch.tensor([-1.0, 1.0])
        return picture, wind


class Reader(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 12, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(12, 24, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        )  # fmt: skip
        self.wind = nn.Sequential(nn.Flatten(), nn.Linear(24 * 36, 48), nn.ReLU(), nn.Linear(48, 2))

    def forward(self, picture):
        return self.wind(self.look(picture))


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(0, correction=0).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Reader()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(Plumes(*plumes(900, 31), mirror=0.5, turn_wind=not buggy), 32, shuffle=True),
        "val": DataLoader(Plumes(*plumes(300, 32)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": explained,
        "epochs": 8,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(Plumes(*plumes(600, 33)), 200))


def setup():
    return build(True)


def fixed():
    return build(False)
