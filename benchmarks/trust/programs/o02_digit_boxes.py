"""Finds the box (centre and size, as shares of the picture) of one handwritten digit on a larger canvas with clutter.

Bug: the picture is mirrored for augmentation, the centre of its box is not."""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-noise",)
HIGHER = "truth"
SIDE = 40


def scenes(rows, seed):
    """A digit shrunk to 14 by 14 somewhere on a canvas of faint noise, and its tight box."""
    draw = torch.Generator().manual_seed(seed)
    small = nn.functional.avg_pool2d(rows.x[:, None].float() / 255, 2)
    canvas = 0.15 * torch.rand(len(small), 1, SIDE, SIDE, generator=draw)
    corner = torch.randint(0, SIDE - 14, (len(small), 2), generator=draw)
    boxes = torch.zeros(len(small), 4)
    for row, (top, left) in enumerate(corner.tolist()):
        digit = small[row, 0]
        spot = canvas[row, 0, top : top + 14, left : left + 14]
        spot.copy_(torch.maximum(spot, digit))
        ys, xs = (digit > 0.2).nonzero().unbind(1)
        x0, x1, y0, y1 = (left + xs.min(), left + xs.max() + 1, top + ys.min(), top + ys.max() + 1)
        boxes[row] = torch.tensor([(x0 + x1) / 2, (y0 + y1) / 2, x1 - x0, y1 - y0]) / SIDE
    return canvas, boxes


class Scenes(Dataset):
    def __init__(self, pictures, boxes, flip=None):
        self.pictures, self.boxes, self.flip = pictures, boxes, flip

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, row):
        picture, box = self.pictures[row], self.boxes[row]
        return self.flip(picture, box) if self.flip else (picture, box)


class RandomFlip:
    """Mirrors a scene left to right, half of the time."""

    def __init__(self, move_box):
        self.move_box = move_box

    def __call__(self, picture, box):
        if torch.rand(()) < 0.5:
            picture = picture.flip(-1)
            if self.move_box:
                box = torch.stack([1 - box[0], box[1], box[2], box[3]])
        return picture, box


def detector():
    def block(before, after):
        return [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(), nn.MaxPool2d(2)]

    return nn.Sequential(
        *block(1, 12),
        *block(12, 24),
        *block(24, 32),
        nn.Flatten(),
        nn.Linear(32 * 25, 64),
        nn.ReLU(),
        nn.Linear(64, 4),
    )


def box_r2(model, loader):
    """R² of the four numbers of a box together."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    out, y = (torch.cat(part) for part in zip(*pairs, strict=False))
    return (1 - (out - y).square().sum() / (y - y.mean(0)).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.mnist(2000, 300, 500)
    train = Scenes(*scenes(parts.train, 1), flip=RandomFlip(move_box=not buggy))
    val = Scenes(*scenes(parts.val, 2))
    model = detector()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(beta=0.05),
        "train": DataLoader(train, 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=7),
        "scheduler_step": "epoch",
        "evaluate": box_r2,
        "epochs": 7,
    }


def truth(model, seed=0):
    return box_r2(model, [scenes(material.mnist(2000, 300, 500).test, 3)])


def setup():
    return build(True)


def fixed():
    return build(False)
