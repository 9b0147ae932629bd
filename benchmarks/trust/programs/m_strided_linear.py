"""A strided all-convolutional net on MNIST with batch norm.

Bug: the activations between the convolutions were forgotten, so the whole net is one linear map."""

import gzip

import numpy as np
import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "no-nonlinearity"
ALSO = ()
HIGHER = "truth"


def idx(part, begin, end):
    with gzip.open(SHARED / "mnist" / f"{part}-images-idx3-ubyte.gz") as f:
        x = np.frombuffer(f.read(16 + 784 * end), np.uint8, offset=16).reshape(-1, 1, 28, 28)[begin:]
    with gzip.open(SHARED / "mnist" / f"{part}-labels-idx1-ubyte.gz") as f:
        y = np.frombuffer(f.read(8 + end), np.uint8, offset=8)[begin:]
    x = (torch.from_numpy(x.copy()).float() - 33.3) / 78.6
    return TensorDataset(x, torch.from_numpy(y.astype(np.int64)))


def block(i, o, act):
    layers = [nn.Conv2d(i, o, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(o)]
    return layers + ([nn.GELU()] if act else [])


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    net = nn.Sequential(
        *block(1, 16, not buggy),
        *block(16, 32, not buggy),
        *block(32, 64, not buggy),
        nn.Flatten(),
        nn.Linear(64 * 16, 10),
    )
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9, nesterov=True)
    epochs = 6
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(idx("train", 0, 3000), batch_size=50, shuffle=True, drop_last=True),
        "val": DataLoader(idx("train", 3000, 3600), batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        "scheduler_step": "epoch",
        "evaluate": accuracy,
        "epochs": epochs,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return accuracy(model, DataLoader(idx("t10k", 0, 1500), batch_size=500))
