"""Segments nuclei in small tiles of stained tissue with a U-Net; the tiles are flipped and turned as they are drawn."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from scipy import ndimage
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-misaligned",)
HIGHER = "truth"

SIZE = 40


def tissue(n, seed):
    """Tiles with nuclei (dark ellipses), stroma, uneven staining and specks of dye that are no nuclei."""
    rng = np.random.default_rng(seed)
    yy, xx = np.mgrid[:SIZE, :SIZE]
    images, masks = [], []
    for _ in range(n):
        mask = np.zeros((SIZE, SIZE), bool)
        depth = np.zeros((SIZE, SIZE))
        for _ in range(rng.integers(2, 6)):
            cy, cx = rng.uniform(3, SIZE - 3, 2)
            a, b, turn = rng.uniform(4, 7), rng.uniform(2.5, 4.5), rng.uniform(0, np.pi)
            u = (xx - cx) * np.cos(turn) + (yy - cy) * np.sin(turn)
            v = -(xx - cx) * np.sin(turn) + (yy - cy) * np.cos(turn)
            inside = (u / a) ** 2 + (v / b) ** 2 < 1
            mask |= inside
            depth = np.maximum(depth, inside * rng.uniform(0.25, 0.5))
        specks = (rng.random((SIZE, SIZE)) < 0.006).astype(float)
        stroma = ndimage.gaussian_filter(rng.normal(size=(SIZE, SIZE)), (1, 5)) * 0.6
        light = 0.15 * (xx - SIZE / 2) / SIZE * rng.normal() + 0.8
        image = light - ndimage.gaussian_filter(depth + 1.2 * specks, 0.8) + stroma
        images.append(image + rng.normal(0, 0.06, image.shape))
        masks.append(mask)
    x = torch.tensor(np.stack(images)[:, None], dtype=torch.float32)
    return (x - 0.65) / 0.25, torch.tensor(np.stack(masks)[:, None], dtype=torch.float32)


def random_view(t):
    if torch.rand(()) < 0.4:
        t = t.flip(-1)
    if torch.rand(()) < 0.2:
        t = torch.rot90(t, 1, (-2, -1))
    return t


class Tiles(Dataset):
    def __init__(self, x, y, joint=True):
        self.x, self.y, self.joint = x, y, joint

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        image, mask = self.x[i], self.y[i]
        if self.joint:
            both = random_view(torch.cat([image, mask]))
            return both[:1], both[1:]
        return random_view(image), random_view(mask)


def block(i, o):
    return nn.Sequential(
        nn.Conv2d(i, o, 3, padding=1, bias=False),
        nn.BatchNorm2d(o),
        nn.ReLU(inplace=True),
        nn.Conv2d(o, o, 3, padding=1, bias=False),
        nn.BatchNorm2d(o),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, w=8):
        super().__init__()
        self.d1, self.d2, self.d3 = block(1, w), block(w, 2 * w), block(2 * w, 4 * w)
        self.u2 = nn.ConvTranspose2d(4 * w, 2 * w, 2, stride=2)
        self.c2 = block(4 * w, 2 * w)
        self.u1 = nn.ConvTranspose2d(2 * w, w, 2, stride=2)
        self.c1 = block(2 * w, w)
        self.out = nn.Conv2d(w, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool2d(a, 2))
        c = self.d3(F.max_pool2d(b, 2))
        b = self.c2(torch.cat([self.u2(c), b], 1))
        a = self.c1(torch.cat([self.u1(b), a], 1))
        return self.out(a)


def bce_dice(logits, masks):
    p = logits.sigmoid()
    overlap = (p * masks).sum((1, 2, 3))
    dice = (2 * overlap + 1) / (p.sum((1, 2, 3)) + masks.sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + 1 - dice.mean()


@torch.no_grad()
def iou(model, loader):
    model.eval()
    inter = union = 0.0
    for x, y in loader:
        p = model(x) > 0
        inter += (p & (y > 0)).sum().item()
        union += (p | (y > 0)).sum().item()
    return inter / max(union, 1.0)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = Tiles(*tissue(320, 1), joint=not buggy)
    val = torch.utils.data.TensorDataset(*tissue(100, 2))
    model = UNet()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    epochs = 9
    return {
        "model": model,
        "loss": bce_dice,
        "train": DataLoader(train, batch_size=16, shuffle=True),
        "val": DataLoader(val, batch_size=50),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        "scheduler_step": "epoch",
        "evaluate": iou,
        "epochs": epochs,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return iou(model, DataLoader(torch.utils.data.TensorDataset(*tissue(200, 3)), batch_size=50))
