"""Finds the strokes of a digit written over a piece of clothing, pixel by pixel: a small U-Net with a one-cycle rate.

Bug: the one-cycle schedule is laid out in batches but stepped once an epoch, so the rate never leaves its warm-up."""

from functools import cache

import torch
from material import fashion, mnist
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"

EPOCHS, MAX_RATE = 5, 5e-3


@cache
def overlays():
    """Pictures (N, 1, 28, 28) in 0..1 and masks (N, 1, 28, 28) of train, val and test."""
    generator = torch.Generator().manual_seed(9)
    parts = []
    for digits, clothes in zip(mnist(1200, 200, 400), fashion(1200, 200, 400), strict=True):
        ink, cloth = digits.x[:, None].float() / 255, clothes.x[:, None].float() / 255
        picture = 0.35 * ink + 0.65 * cloth  # as double exposures
        picture = picture + 0.06 * torch.randn(picture.shape, generator=generator)
        parts.append(TensorDataset(picture.clamp(0, 1), (ink > 0.5).float()))
    return parts


def double(inward, outward):
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, padding=1, bias=False),
        nn.BatchNorm2d(outward),
        nn.ReLU(inplace=True),
        nn.Conv2d(outward, outward, 3, padding=1, bias=False),
        nn.BatchNorm2d(outward),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.down1, self.down2, self.bottom = double(1, width), double(width, 2 * width), double(2 * width, 4 * width)
        self.rise2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, 2)
        self.up2 = double(4 * width, 2 * width)
        self.rise1 = nn.ConvTranspose2d(2 * width, width, 2, 2)
        self.up1 = double(2 * width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        fine = self.down1(x)
        middle = self.down2(F.max_pool2d(fine, 2))
        low = self.bottom(F.max_pool2d(middle, 2))
        x = self.up2(torch.cat([self.rise2(low), middle], dim=1))
        return self.out(self.up1(torch.cat([self.rise1(x), fine], dim=1)))


def dice(model, loader):
    """Dice overlap over all pixels of the set."""
    model.eval()
    both = either = 0
    with torch.no_grad():
        for pictures, masks in loader:
            found = (model(pictures) > 0).float()
            both += (found * masks).sum().item()
            either += (found + masks).sum().item()
    return 2 * both / max(either, 1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = overlays()
    model = UNet()
    loader = DataLoader(train, 32, shuffle=True, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=MAX_RATE, weight_decay=1e-2)
    steps = EPOCHS * len(loader)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": loader,
        "val": DataLoader(val, 100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, MAX_RATE, total_steps=steps, div_factor=100),
        "scheduler_step": "epoch" if buggy else "batch",
        "evaluate": dice,
        "epochs": EPOCHS,
    }


def truth(model, seed=0):
    return dice(model, DataLoader(overlays()[2], 100))


def setup():
    return build(True)


def fixed():
    return build(False)
