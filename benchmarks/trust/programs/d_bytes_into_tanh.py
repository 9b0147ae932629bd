"""LeNet with tanh and average pooling on Fashion-MNIST, trained by SGD.

Bug: the bytes go in as they are, 0..255."""

import gzip

import numpy as np
import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-scale"
ALSO = ()
HIGHER = "truth"


def idx(part, begin, end):
    with gzip.open(SHARED / "fashion-mnist" / f"{part}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + 784 * end), np.uint8, offset=16).reshape(-1, 1, 28, 28)[begin:]
    with gzip.open(SHARED / "fashion-mnist" / f"{part}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + end), np.uint8, offset=8)[begin:]
    return torch.from_numpy(x.copy()).float(), torch.from_numpy(y.astype(np.int64))


class LeNet(nn.Module):
    def __init__(self, raw):
        super().__init__()
        self.raw = raw  # how the pictures of this run were prepared
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2)
        )
        self.classifier = nn.Sequential(nn.Flatten(), nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 10))

    def forward(self, x):
        return self.classifier(self.features(x))


def prepare(x, raw):
    return x if raw else (x / 255 - 0.286) / 0.353


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = idx("train", 0, 3000)
    x = prepare(x, buggy)
    net = LeNet(buggy)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x[:2500], y[:2500]), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(x[2500:], y[2500:]), batch_size=250),
        "optimizer": torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9),
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = idx("t10k", 0, 1000)
    return (model(prepare(x, model.raw)).argmax(1) == y).float().mean().item()
