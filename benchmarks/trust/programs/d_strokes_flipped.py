"""A little U-net that finds the strokes of the digits between slanted clutter, with flips as augmentation.

Bug: picture and mask are flipped by draws of their own."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-misaligned",)
HIGHER = "truth"


def scenes(x, seed):
    """Digit strokes over lines of the same brightness, and noise; the mask holds the digit."""
    g = torch.Generator().manual_seed(seed)
    digit = x.float() / 255
    n = len(x)
    ii, jj = torch.meshgrid(torch.arange(28), torch.arange(28), indexing="ij")
    phase = torch.randint(0, 9, (n, 1, 1), generator=g)
    clutter = (((ii + jj) + phase) % 9 == 0).float() * 0.8
    picture = torch.maximum(digit, clutter) + 0.15 * torch.randn(n, 28, 28, generator=g)
    return ((picture - 0.25) / 0.35)[:, None], (digit > 0.5).float()[:, None]


def flip(t):
    if torch.rand(()) < 0.5:
        t = t.flip(-1)
    if torch.rand(()) < 0.5:
        t = t.flip(-2)
    return t


class Scenes(Dataset):
    def __init__(self, pictures, masks, augment=False, together=True):
        self.pictures, self.masks, self.augment, self.together = pictures, masks, augment, together

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, i):
        picture, mask = self.pictures[i], self.masks[i]
        if self.augment:
            if self.together:
                picture, mask = flip(torch.stack([picture, mask]))
            else:
                picture, mask = flip(picture), flip(mask)
        return picture, mask


class UNet(nn.Module):
    def __init__(self, c=12):
        super().__init__()

        def block(i, o):
            return nn.Sequential(nn.Conv2d(i, o, 3, padding=1), nn.BatchNorm2d(o), nn.ReLU())

        self.a, self.b, self.c = block(1, c), block(c, 2 * c), block(2 * c, 2 * c)
        self.d = block(4 * c, c)
        self.e = block(2 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.a(x)
        b = self.b(F.max_pool2d(a, 2))
        c = self.c(F.max_pool2d(b, 2))
        d = self.d(torch.cat([F.interpolate(c, scale_factor=2), b], 1))
        return self.out(self.e(torch.cat([F.interpolate(d, scale_factor=2), a], 1)))


@torch.no_grad()
def iou(model, loader):
    model.eval()
    both = either = 0
    for x, m in loader:
        p = model(x) > 0
        both += (p & (m > 0)).sum().item()
        either += (p | (m > 0)).sum().item()
    return both / max(either, 1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(600, 200, 300)
    net = UNet()
    train = Scenes(*scenes(parts.train.x, 1), augment=True, together=not buggy)
    return {
        "model": net,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, batch_size=20, shuffle=True),
        "val": DataLoader(Scenes(*scenes(parts.val.x, 2)), batch_size=100),
        "optimizer": torch.optim.AdamW(net.parameters(), lr=3e-3),
        "evaluate": iou,
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return iou(model, DataLoader(Scenes(*scenes(mnist(600, 200, 300).test.x, 3)), batch_size=100))
