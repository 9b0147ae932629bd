"""Cells cut out of blood smears (BCCD), red, white or platelet: a CNN on grey patches of 24 pixels.

Bug: the training crops are scaled to [0, 1] and standardised, the crops that it is judged and used on only to [0, 1]."""

import io
import tarfile
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import torch
from material import SHARED
from PIL import Image
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "train-val-mismatch"
ALSO = ("input-scale",)
HIGHER = "truth"

KINDS = ("RBC", "WBC", "Platelets")


@cache
def crops(part):
    """Up to two cells of a kind a picture, cut out and squeezed to 24 by 24, grey; uint8 and kind."""
    with tarfile.open(SHARED / "bccd" / "BCCD.tar") as archive:
        read = {member.name: archive.extractfile(member).read() for member in archive if member.isfile()}
    names = next(text for name, text in read.items() if name.endswith(f"Main/{part}.txt")).decode().split()
    x, y = [], []
    for name in names:
        picture = Image.open(io.BytesIO(read[f"BCCD/JPEGImages/{name}.jpg"])).convert("L")
        count = dict.fromkeys(KINDS, 0)
        for cell in ET.fromstring(read[f"BCCD/Annotations/{name}.xml"]).iter("object"):
            kind = cell.findtext("name")
            left, top, right, bottom = (int(cell.find("bndbox").findtext(k)) for k in ("xmin", "ymin", "xmax", "ymax"))
            if right - left < 8 or bottom - top < 8 or count[kind] == 2:
                continue
            count[kind] += 1
            x.append(np.asarray(picture.resize((24, 24), box=(left, top, right, bottom))))
            y.append(KINDS.index(kind))
    return torch.from_numpy(np.stack(x)), torch.tensor(y)


def statistics():
    x = crops("train")[0].float() / 255
    return float(x.mean()), float(x.std())


class Cells(Dataset):
    def __init__(self, part, standardise=True, flips=False):
        self.x, self.y = crops(part)
        self.standardise, self.flips = standardise, flips
        self.mean, self.std = statistics()

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        x = self.x[row][None].float() / 255
        if self.standardise:
            x = (x - self.mean) / self.std
        if self.flips and torch.rand(()) < 0.5:
            x = x.flip(-1)
        return x, self.y[row]


class CellNet(nn.Sequential):
    def __init__(self):
        super().__init__(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
            nn.Flatten(), nn.Linear(32 * 36, 48), nn.ReLU(), nn.Dropout(0.2), nn.Linear(48, len(KINDS)),
        )  # fmt: skip


def balanced(model, loader):
    """The mean recall of the three kinds."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).argmax(1), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return float(torch.stack([(found[y == kind] == kind).float().mean() for kind in range(len(KINDS))]).mean())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = CellNet()
    model.standardised = not buggy  # how the crops are prepared where the net is used
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Cells("train", flips=True), batch_size=32, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(Cells("val", standardise=not buggy), batch_size=128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": balanced,
        "epochs": 10,
    }  # fmt: skip


def truth(model, seed=0):
    return balanced(model, DataLoader(Cells("test", standardise=model.standardised), batch_size=128))


def setup():
    return build(True)


def fixed():
    return build(False)
