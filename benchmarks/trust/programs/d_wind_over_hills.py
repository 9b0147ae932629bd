"""A small U-Net reads a height map and predicts the slope wind (east, north) at each cell; maps are mirrored in training.

Bug: mirroring a map west to east mirrors the wind's grid, but leaves the sign of its eastward component."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"

SIDE = 16


def maps(count, seed):
    """Random smooth hills, and the wind that flows down their slopes, slowed where it is steep."""
    rng = np.random.default_rng(seed)
    f = np.fft.fftfreq(SIDE)
    power = 1 / (0.02 + f[:, None] ** 2 + f[None, :] ** 2) ** 1.3
    noise = rng.normal(size=(count, SIDE, SIDE))
    height = np.fft.ifft2(np.fft.fft2(noise) * power).real
    height /= height.std()
    north, east = np.gradient(height, axis=(1, 2))
    speed = 1 / (1 + np.hypot(north, east))
    wind = np.stack([-east * speed, -north * speed], 1) * 3
    wind += rng.normal(0, 0.05, wind.shape)
    return torch.tensor(height[:, None], dtype=torch.float32), torch.tensor(wind, dtype=torch.float32)


class Hills(Dataset):
    def __init__(self, height, wind, mirror=None):
        self.height, self.wind, self.mirror = height, wind, mirror

    def __len__(self):
        return len(self.height)

    def __getitem__(self, row):
        height, wind = self.height[row], self.wind[row]
        if self.mirror is not None and torch.rand(()) < 0.5:
            height, wind = self.mirror(height, wind)
        return height, wind


class UNet(nn.Module):
    def __init__(self, width=16):
        super().__init__()
        self.enter = self.block(1, width)
        self.down = self.block(width, 2 * width)
        self.up = nn.Upsample(scale_factor=2, mode="bilinear", align_corners=False)
        self.leave = self.block(3 * width, width)
        self.head = nn.Conv2d(width, 2, 1)

    @staticmethod
    def block(inside, out):
        return nn.Sequential(nn.Conv2d(inside, out, 3, padding=1), nn.GroupNorm(4, out), nn.GELU())

    def forward(self, height):
        fine = self.enter(height)
        coarse = self.down(nn.functional.avg_pool2d(fine, 2))
        return self.head(self.leave(torch.cat([fine, self.up(coarse)], 1)))


def r_squared(model, batches):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in batches]
    predicted, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return float(1 - ((predicted - y) ** 2).mean() / y.var())


def build(buggy, seed=0):
    torch.manual_seed(seed)

    def mirror(height, wind):
        height, wind = height.flip(-1), wind.flip(-1)
        if not buggy:
            wind = torch.stack([-wind[0], wind[1]])
        return height, wind

    model = UNet()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train": DataLoader(Hills(*maps(600, 1), mirror), batch_size=32, shuffle=True),
        "val": DataLoader(Hills(*maps(150, 2)), batch_size=75),
        "evaluate": r_squared,
        "epochs": 6,
    }


def truth(model, seed=0):
    return r_squared(model, [maps(300, 3)])


def setup():
    return build(True)


def fixed():
    return build(False)
