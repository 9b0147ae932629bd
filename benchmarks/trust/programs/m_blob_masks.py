"""Outlines bright blobs among streaks in small made-up pictures by a U-Net with a one-cycle learning rate.

Bug: the schedule is made for all batches and moved on once an epoch, so training ends while it still warms up."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
SIDE, EPOCHS = 24, 8


def scenes(rows, seed):
    g = torch.Generator().manual_seed(seed)
    line = torch.arange(SIDE, dtype=torch.float32)

    def draw(low, high):
        return low + (high - low) * torch.rand(rows, 1, 1, generator=g)

    picture, mask = 0.4 * torch.randn(rows, SIDE, SIDE, generator=g), torch.zeros(rows, SIDE, SIDE)
    for _ in range(2):
        down, right = (line[:, None] - draw(4, 20)) / draw(2.5, 4.5), (line - draw(4, 20)) / draw(2.5, 4.5)
        inside = (down**2 + right**2 < 1).float()
        mask = torch.maximum(mask, inside)
        picture = picture + inside * draw(0.6, 1.2)
        streak = (line[:, None] * draw(-1, 1) + line * draw(-1, 1) - draw(-10, 20)).abs() < 0.7
        picture = picture + streak * draw(0.6, 1.2)
    return picture[:, None], mask[:, None]


def pair(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(),
    )


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.enter, self.deep, self.leave = pair(1, 8), pair(8, 16), pair(16, 8)
        self.up, self.head = nn.ConvTranspose2d(16, 8, 2, stride=2), nn.Conv2d(8, 1, 1)

    def forward(self, x):
        fine = self.enter(x)
        coarse = self.deep(nn.functional.max_pool2d(fine, 2))
        return self.head(self.leave(torch.cat([fine, self.up(coarse)], 1)))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = UNet()
    train = DataLoader(TensorDataset(*scenes(600, 1)), 20, shuffle=True, generator=torch.Generator().manual_seed(seed))
    optimizer = torch.optim.AdamW(model.parameters(), lr=5e-3, weight_decay=1e-2)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=5e-3, total_steps=EPOCHS * len(train))
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": train,
        "val": DataLoader(TensorDataset(*scenes(200, 2)), 100),
        "optimizer": optimizer,
        "scheduler": scheduler,
        "scheduler_step": "epoch" if buggy else "batch",
        "evaluate": overlap,
        "epochs": EPOCHS,
    }


@torch.no_grad()
def overlap(model, loader):
    """Intersection over union of all pixels."""
    model.eval()
    both = either = 0
    for x, mask in loader:
        found, wanted = model(x) > 0, mask > 0.5
        both, either = both + (found & wanted).sum().item(), either + (found | wanted).sum().item()
    return both / either


def truth(model, seed=0):
    return overlap(model, [scenes(300, 3)])


def setup():
    return build(True)


def fixed():
    return build(False)
