"""Cuts digits out of cluttered pictures with a small U-Net; each batch of 64 passes in pieces of 8 to save memory.

Bug: the pieces' mean losses are added up and not divided by the number of pieces."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "accumulation-scale"
ALSO = ("lr-too-high",)
HIGHER = "truth"
PIECE = 8


def scenes(rows, seed):
    """A digit, with strokes of other digits (4 by 12 pixels each) and noise around it; the mask is the digit's ink."""
    g = torch.Generator().manual_seed(seed)
    ink = F.avg_pool2d(rows.x[:, None].float() / 255, 2)
    clutter = torch.zeros_like(ink)
    for _ in range(3):
        other = ink[torch.randperm(len(ink), generator=g)]
        window = torch.zeros_like(ink)
        corners = torch.randint(0, 11, (len(ink), 2), generator=g)
        for row, (top, left) in enumerate(corners.tolist()):
            window[row, 0, top : top + 4, left : left + 4] = 1
        clutter = torch.maximum(clutter, window * other)
    picture = torch.maximum(ink, 0.6 * clutter) + 0.15 * torch.randn(ink.shape, generator=g)
    return TensorDataset((picture - 0.25) / 0.35, (ink > 0.3).float())


def twice(inward, outward):
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, padding=1),
        nn.GroupNorm(4, outward),
        nn.ReLU(),
        nn.Conv2d(outward, outward, 3, padding=1),
        nn.GroupNorm(4, outward),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.outer, self.inner, self.merge = twice(1, 12), twice(12, 24), twice(36, 12)
        self.out = nn.Conv2d(12, 1, 1)

    def forward(self, picture):
        fine = self.outer(picture)
        coarse = self.inner(F.max_pool2d(fine, 2))
        return self.out(self.merge(torch.cat([fine, F.interpolate(coarse, scale_factor=2.0)], 1)))


def iou(model, loader):
    model.eval()
    both = either = 0.0
    with torch.no_grad():
        for picture, mask in loader:
            guess, real = model(picture) > 0, mask > 0.5
            both += (guess & real).sum().item()
            either += (guess | real).sum().item()
    return both / either


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(1500, 300, 500)
    model = UNet()
    loss = nn.BCEWithLogitsLoss()

    def train_step(model, batch, optimizer):
        model.train()
        optimizer.zero_grad()
        pieces = list(zip(batch[0].split(PIECE), batch[1].split(PIECE), strict=False))
        total = 0.0
        for picture, mask in pieces:
            piece = loss(model(picture), mask)
            if not buggy:
                piece = piece / len(pieces)
            piece.backward()
            total += piece.item()
        optimizer.step()
        return torch.tensor(total)

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            scenes(parts.train, 1), 64, shuffle=True, drop_last=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(scenes(parts.val, 2), 100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.2, momentum=0.9, weight_decay=1e-4),
        "train_step": train_step,
        "evaluate": iou,
        "epochs": 5,
    }


def truth(model, seed=0):
    return iou(model, DataLoader(scenes(mnist(1500, 300, 500).test, 3), 100))


def setup():
    return build(True)


def fixed():
    return build(False)
