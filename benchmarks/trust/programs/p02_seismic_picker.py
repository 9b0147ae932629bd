"""Marks the samples of a three-component seismogram that belong to a local event, from first arrival to end of coda."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
LENGTH = 192


def synth(n, seed):
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(LENGTH).float()
    onset = torch.randint(40, 110, (n, 1), generator=g).float()
    length = 30 + 40 * torch.rand(n, 1, generator=g)
    inside = (t >= onset) & (t < onset + length)
    envelope = torch.where(inside, torch.exp(-1.6 * (t - onset).clamp(min=0) / length), torch.zeros(()))
    freq = 0.12 + 0.1 * torch.rand(n, 3, 1, generator=g)
    phase = 2 * math.pi * torch.rand(n, 3, 1, generator=g)
    gain = 0.8 + 1.2 * torch.rand(n, 3, 1, generator=g)
    signal = gain * envelope[:, None] * torch.sin(2 * math.pi * freq * t + phase)
    noise = torch.randn(n, 3, LENGTH, generator=g)
    noise = 0.35 * F.avg_pool1d(noise, 3, 1, 1) * 1.7
    return signal + noise, inside.float()


class Traces(Dataset):
    def __init__(self, n, seed, train=False, shift_mask=True):
        self.x, self.y = synth(n, seed)
        self.train, self.shift_mask = train, shift_mask

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        x, y = self.x[i], self.y[i]
        if self.train:
            shift = int(torch.randint(-24, 25, ()))
            x = torch.roll(x, shift, -1)
            x = x * (0.8 + 0.4 * torch.rand(()))
            if self.shift_mask:
                y = torch.roll(y, shift, -1)
        return x, y


def block(i, o):
    return nn.Sequential(nn.Conv1d(i, o, 5, padding=2), nn.BatchNorm1d(o), nn.ReLU())


class UNet1d(nn.Module):
    def __init__(self, c=12):
        super().__init__()
        self.d1, self.d2, self.d3 = block(3, c), block(c, 2 * c), block(2 * c, 4 * c)
        self.mid = block(4 * c, 4 * c)
        self.u2, self.u1 = block(6 * c, 2 * c), block(3 * c, c)
        self.head = nn.Conv1d(c, 1, 1)

    def forward(self, x):
        a = self.d1(x)
        b = self.d2(F.max_pool1d(a, 4))
        c = self.mid(self.d3(F.max_pool1d(b, 4)))
        b = self.u2(torch.cat([F.interpolate(c, scale_factor=4.0), b], 1))
        a = self.u1(torch.cat([F.interpolate(b, scale_factor=4.0), a], 1))
        return self.head(a)[:, 0]


def iou(model, loader):
    model.eval()
    inter = union = 0.0
    with torch.no_grad():
        for x, y in loader:
            p = model(x) > 0
            inter += (p & (y > 0)).sum().item()
            union += (p | (y > 0)).sum().item()
    return inter / max(union, 1.0)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    net = UNet1d()
    train = Traces(900, 1, train=True, shift_mask=not buggy)
    return {
        "model": net,
        "loss": F.binary_cross_entropy_with_logits,
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(Traces(300, 2), batch_size=100),
        "optimizer": torch.optim.AdamW(net.parameters(), lr=3e-3),
        "evaluate": iou,
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return iou(model, DataLoader(Traces(600, 3), batch_size=200))
