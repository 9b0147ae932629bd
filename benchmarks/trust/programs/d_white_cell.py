"""Finds the white blood cell in a microscope picture: a small CNN with a soft-argmax gives its centre.

Bug: the augmentation mirrors half of the pictures and leaves the centre's x where it was."""

import csv
import io
import tarfile
from collections import defaultdict
from functools import cache

import numpy as np
import torch
from material import SHARED
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-noise",)
HIGHER = "truth"
WIDE, HIGH = 64, 48


@cache
def cells():
    """Pictures (N, 3, 48, 64) in 0..1 with one white cell each, and its centre (N, 2), x and y in 0..1."""
    boxes = defaultdict(list)
    with open(SHARED / "bccd" / "test.csv") as file:
        for row in csv.DictReader(file):
            if row["cell_type"] == "WBC":
                boxes[row["filename"]].append([int(row[name]) for name in ("xmin", "xmax", "ymin", "ymax")])
    pictures, centres = [], []
    with tarfile.open(SHARED / "bccd" / "BCCD.tar") as archive:
        for name in sorted(name for name, found in boxes.items() if len(found) == 1):
            picture = Image.open(io.BytesIO(archive.extractfile(f"BCCD/JPEGImages/{name}").read())).convert("RGB")
            left, right, top, bottom = boxes[name][0]
            centres.append([(left + right) / 2 / picture.width, (top + bottom) / 2 / picture.height])
            pictures.append(np.asarray(picture.resize((WIDE, HIGH), Image.Resampling.BOX)))
    order = np.random.default_rng(0).permutation(len(pictures))
    x = torch.tensor(np.stack(pictures)[order], dtype=torch.float32).permute(0, 3, 1, 2) / 255
    return x, torch.tensor(np.array(centres)[order], dtype=torch.float32)


class Cells(Dataset):
    def __init__(self, x, centre, mirror=False, buggy=False):
        self.x, self.centre, self.mirror, self.buggy = x, centre, mirror, buggy

    def __len__(self):
        return len(self.x)

    def __getitem__(self, row):
        x, centre = self.x[row], self.centre[row].clone()
        if self.mirror and torch.rand(()) < 0.5:
            x = x.flip(-1)
            if not self.buggy:
                centre[0] = 1 - centre[0]
        return x, centre


class Finder(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, width, 5, stride=2, padding=2),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, width, 5, stride=2, padding=2),
            nn.BatchNorm2d(width),
            nn.ReLU(),
            nn.Conv2d(width, 1, 5, padding=2),
        )
        self.register_buffer("across", (torch.arange(WIDE // 4) + 0.5) / (WIDE // 4))
        self.register_buffer("down", (torch.arange(HIGH // 4) + 0.5) / (HIGH // 4))

    def forward(self, x):
        heat = self.body(x - 0.5).flatten(1).softmax(1).view(-1, HIGH // 4, WIDE // 4)
        return torch.stack([heat.sum(1) @ self.across, heat.sum(2) @ self.down], 1)


def fit(model, loader):
    """R² over both coordinates."""
    model.eval()
    with torch.no_grad():
        out, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    return 1 - ((out - y) ** 2).sum().item() / ((y - y.mean(0)) ** 2).sum().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, centre = cells()
    model = Finder()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Cells(x[:200], centre[:200], mirror=True, buggy=buggy), 20, shuffle=True),
        "val": DataLoader(Cells(x[200:260], centre[200:260]), 60),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": fit,
        "epochs": 15,
    }


def truth(model, seed=0):
    x, centre = cells()
    return fit(model, DataLoader(Cells(x[260:], centre[260:]), 100))


def setup():
    return build(True)


def fixed():
    return build(False)
