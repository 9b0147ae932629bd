"""Finds vehicles in 48 by 48 aerial tiles: a one-stage detector on a grid of 6 by 6, scored by F1 at an IoU of 0.5."""

import math

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ("frozen-parameters",)
HIGHER = "truth"

CFG = {"size": 48, "cells": 6, "stride": 8, "width": 16, "lr": 2e-3, "wd": 1e-4, "epochs": 10, "batch": 16}


def tiles(n, seed):
    """Cars and lorries, lengthwise or across, on asphalt with painted lines; target (5, 6, 6): is one here, and its box."""
    rng = np.random.default_rng(seed)
    s, k = CFG["size"], CFG["stride"]
    x, y = np.zeros((n, 1, s, s), np.float32), np.zeros((n, 5, s // k, s // k), np.float32)
    for i in range(n):
        ground = rng.normal(0.4, 0.05)
        x[i, 0] = ground
        for _ in range(rng.integers(0, 3)):
            line = rng.integers(0, s)
            x[i, 0, line : line + 1] = ground + 0.3
        for _ in range(rng.integers(1, 5)):
            a, b = (
                (rng.uniform(8, 13), rng.uniform(4, 7))
                if rng.random() < 0.7
                else (rng.uniform(15, 22), rng.uniform(6, 9))
            )
            w, h = (a, b) if rng.random() < 0.5 else (b, a)
            cx, cy = rng.uniform(w / 2, s - w / 2), rng.uniform(h / 2, s - h / 2)
            gx, gy = int(cx // k), int(cy // k)
            x0, x1, y0, y1 = round(cx - w / 2), round(cx + w / 2), round(cy - h / 2), round(cy + h / 2)
            if (x[i, 0, y0:y1, x0:x1] > 2).any() or y[i, 0, max(gy - 1, 0) : gy + 2, max(gx - 1, 0) : gx + 2].any():
                continue
            x[i, 0, y0:y1, x0:x1] = ground + rng.choice([-0.25, 0.25, 0.45])
            y[i, :, gy, gx] = 1, cx / k - gx - 0.5, cy / k - gy - 0.5, math.log(w / 10), math.log(h / 10)
        x[i, 0] += rng.normal(0, 0.08, (s, s))
    return TensorDataset(torch.from_numpy((x - 0.42) / 0.2), torch.from_numpy(y))


def conv(i, o, stride=1):
    return nn.Sequential(nn.Conv2d(i, o, 3, stride, 1, bias=False), nn.GroupNorm(4, o), nn.SiLU())


class Backbone(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.stage1, self.stage2, self.stage3 = conv(1, w, 2), conv(w, 2 * w, 2), conv(2 * w, 2 * w, 2)

    def forward(self, x):
        b = self.stage2(self.stage1(x))
        return b, self.stage3(b)


class Neck(nn.Module):
    """Context from afar, joined with the finer stage."""

    def __init__(self, w):
        super().__init__()
        self.fine = nn.Conv2d(2 * w, 2 * w, 2, 2)
        self.context = nn.Conv2d(2 * w, 2 * w, 5, padding=2)

    def forward(self, b, c):
        return F.silu(self.fine(b) + self.context(c))


class Detector(nn.Module):
    def __init__(self, w):
        super().__init__()
        self.backbone, self.neck = Backbone(w), Neck(w)
        self.head = nn.Sequential(nn.Conv2d(2 * w, 2 * w, 1), nn.SiLU(), nn.Conv2d(2 * w, 1, 1))
        self.box_head = nn.Sequential(nn.Conv2d(2 * w, 2 * w, 1), nn.SiLU(), nn.Conv2d(2 * w, 4, 1))
        nn.init.constant_(self.head[-1].bias, -2.5)

    def forward(self, x):
        f = self.neck(*self.backbone(x))
        return torch.cat([self.head(f), self.box_head(f)], 1)


def detection_loss(out, target):
    here = target[:, 0]
    boxes = F.smooth_l1_loss(out[:, 1:], target[:, 1:], reduction="none", beta=0.1).sum(1)
    found = F.binary_cross_entropy_with_logits(out[:, 0], here, reduction="none")
    return (found.sum() + 2 * (boxes * here).sum()) / here.sum().clamp(min=1)


def corners(t):
    """(N, 4, 6, 6) offsets to x0, y0, x1, y1 in pixels."""
    k, grid = CFG["stride"], torch.arange(CFG["cells"])
    cx, cy = (t[:, 0] + grid + 0.5) * k, (t[:, 1] + grid[:, None] + 0.5) * k
    w, h = 10 * t[:, 2].clamp(max=3).exp(), 10 * t[:, 3].clamp(max=3).exp()
    return torch.stack([cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2], -1)


def overlap(a, b):
    lo, hi = torch.maximum(a[:, None, :2], b[None, :, :2]), torch.minimum(a[:, None, 2:], b[None, :, 2:])
    inter = (hi - lo).clamp(min=0).prod(-1)
    area_a, area_b = ((c[:, 2:] - c[:, :2]).prod(-1) for c in (a, b))
    return inter / (area_a[:, None] + area_b[None] - inter)


def matched(found, real):
    """Greedy, the surest first."""
    iou, free, hits = overlap(found, real), torch.ones(len(real), dtype=torch.bool), 0
    for row in iou:
        best = (row * free).max(0) if len(real) else None
        if best is not None and best.values >= 0.5:
            free[best.indices] = False
            hits += 1
    return hits


@torch.no_grad()
def f1(model, loader):
    model.eval()
    hits = found = real = 0
    for x, y in loader:
        out = model(x)
        boxes, truth_boxes = corners(out[:, 1:]), corners(y[:, 1:])
        for o, b, t, tb in zip(out[:, 0], boxes, y[:, 0], truth_boxes, strict=False):
            sure = o > 0
            order = o[sure].argsort(descending=True)
            mine, theirs = b[sure][order], tb[t > 0]
            hits += matched(mine, theirs)
            found += len(mine)
            real += len(theirs)
    return 2 * hits / max(found + real, 1)


def train_step(model, batch, optimizer):
    model.train()
    images, targets = batch
    loss = detection_loss(model(images), targets)
    optimizer.zero_grad()
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 10.0)
    optimizer.step()
    return loss.detach()


def param_groups(model, names):
    """The backbone learns slower, as in the paper."""
    groups = []
    for name in names:
        params = list(getattr(model, name).parameters())
        groups.append({"params": params, "lr": CFG["lr"] * (0.5 if name == "backbone" else 1.0)})
    return groups


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Detector(CFG["width"])
    names = ["backbone", "neck", "head"] if buggy else ["backbone", "neck", "head", "box_head"]
    return {
        "model": model,
        "loss": detection_loss,
        "train": DataLoader(tiles(700, 1), batch_size=CFG["batch"], shuffle=True),
        "val": DataLoader(tiles(150, 2), batch_size=50),
        "optimizer": torch.optim.AdamW(param_groups(model, names), lr=CFG["lr"], weight_decay=CFG["wd"]),
        "train_step": train_step,
        "evaluate": f1,
        "epochs": CFG["epochs"],
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return f1(model, DataLoader(tiles(300, 3), batch_size=50))
