"""A small U-Net that marks the organs (two kinds) in noisy slices; slices are flipped by chance to augment.

Bug: the slice is flipped and its mask is not."""

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-misaligned",)
HIGHER = "truth"


def slices(count, seed):
    """32 by 32 slices with a bright ellipse (1) and a ring (2) at chance places, in noise."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:32, :32]
    x, mask = rng.normal(0, 0.35, (count, 32, 32)), np.zeros((count, 32, 32), np.int64)
    for k in range(count):
        cy, cx, a, b = rng.uniform(7, 25), rng.uniform(7, 25), rng.uniform(3, 6), rng.uniform(3, 6)
        mask[k][((yy - cy) / a) ** 2 + ((xx - cx) / b) ** 2 < 1] = 1
        cy, cx, r = rng.uniform(7, 25), rng.uniform(7, 25), rng.uniform(4, 7)
        mask[k][np.abs(np.hypot(yy - cy, xx - cx) - r) < 1.3] = 2
        x[k] += 0.9 * (mask[k] == 1) + 1.1 * (mask[k] == 2)
    return torch.tensor(x, dtype=torch.float32)[:, None], torch.from_numpy(mask)


class Slices(Dataset):
    def __init__(self, x, masks, flip=None):
        self.x, self.masks, self.flip = x, masks, flip

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        x, mask = self.x[row], self.masks[row]
        if self.flip == "slice" and torch.rand(()) < 0.5:
            x = x.flip(-1)
        elif self.flip == "both" and torch.rand(()) < 0.5:
            x, mask = x.flip(-1), mask.flip(-1)
        return x, mask


def double(a, b):
    return nn.Sequential(
        nn.Conv2d(a, b, 3, padding=1),
        nn.BatchNorm2d(b),
        nn.ReLU(),
        nn.Conv2d(b, b, 3, padding=1),
        nn.BatchNorm2d(b),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.down, self.mid, self.up = double(1, 8), double(8, 16), double(24, 8)
        self.out = nn.Conv2d(8, 3, 1)

    def forward(self, x):
        first = self.down(x)
        deep = self.mid(nn.functional.max_pool2d(first, 2))
        deep = nn.functional.interpolate(deep, scale_factor=2)
        return self.out(self.up(torch.cat([first, deep], 1)))


def loss(out, mask):
    """Cross-entropy and soft Dice of the organs."""
    chance, hot = out.softmax(1)[:, 1:], nn.functional.one_hot(mask, 3).movedim(-1, 1)[:, 1:]
    dice = (2 * (chance * hot).sum((0, 2, 3)) + 1) / (chance.sum((0, 2, 3)) + hot.sum((0, 2, 3)) + 1)
    return nn.functional.cross_entropy(out, mask) + 1 - dice.mean()


@torch.no_grad()
def evaluate(model, loader):
    """Mean intersection over union of the two organs."""
    model.eval()
    met, all_ = torch.zeros(2), torch.zeros(2)
    for x, mask in loader:
        guess = model(x).argmax(1)
        for k in (1, 2):
            met[k - 1] += ((guess == k) & (mask == k)).sum()
            all_[k - 1] += ((guess == k) | (mask == k)).sum()
    return (met / all_.clamp(min=1)).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = UNet()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(Slices(*slices(240, 1), flip="slice" if buggy else "both"), 8, shuffle=True),
        "val": DataLoader(Slices(*slices(80, 2)), 40),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "evaluate": evaluate,
        "epochs": 8,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Slices(*slices(200, 3)), 50))


def setup():
    return build(True)


def fixed():
    return build(False)
