"""Segments bright round cells before a textured ground in 32 x 32 pictures with a small U-Net; score: IoU of the cells.

Bug: picture and mask are flipped by two separate draws, so many a picture gets the mask of its mirror image."""

import torch
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset, TensorDataset

BUG = "augment-target"
ALSO = ("label-noise",)
HIGHER = "truth"
SIDE = 32


def slides(count, seed):
    """Pictures (N, 1, 32, 32) and masks of the same shape."""
    g = torch.Generator().manual_seed(seed)
    places = torch.rand(count, 4, 2, 1, 1, generator=g) * SIDE
    radii = 2.5 + 3 * torch.rand(count, 4, 1, 1, generator=g)
    light = 0.5 + 0.7 * torch.rand(count, 4, 1, 1, generator=g)
    rows, columns = torch.meshgrid(torch.arange(SIDE), torch.arange(SIDE), indexing="ij")
    distance = ((rows - places[:, :, 0]) ** 2 + (columns - places[:, :, 1]) ** 2).sqrt()
    cells = distance < radii
    ground = F.interpolate(torch.randn(count, 1, 9, 9, generator=g), size=SIDE, mode="bilinear", align_corners=True)
    pictures = (cells * light).amax(1, keepdim=True) + 0.3 * ground
    pictures = pictures + 0.25 * torch.randn(pictures.shape, generator=g)
    return pictures, cells.any(1, keepdim=True).float()


def flip(picture, coin):
    return picture.flip(-1) if coin < 0.3 else picture


class Slides(Dataset):
    def __init__(self, pictures, masks, buggy):
        self.pictures, self.masks, self.buggy = pictures, masks, buggy

    def __len__(self):
        return len(self.masks)

    def __getitem__(self, index):
        coin = torch.rand(())
        picture = flip(self.pictures[index], coin)
        if self.buggy:
            coin = torch.rand(())
        return picture, flip(self.masks[index], coin)


def double(before, after):
    return nn.Sequential(
        nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
        nn.Conv2d(after, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(),
    )  # fmt: skip


class UNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.fine, self.coarse, self.bottom = double(1, 8), double(8, 16), double(16, 16)
        self.up_coarse, self.up_fine = double(32, 8), double(16, 8)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x):
        fine = self.fine(x)
        coarse = self.coarse(F.max_pool2d(fine, 2))
        bottom = self.bottom(F.max_pool2d(coarse, 2))
        coarse = self.up_coarse(torch.cat([coarse, F.interpolate(bottom, scale_factor=2)], 1))
        return self.head(self.up_fine(torch.cat([fine, F.interpolate(coarse, scale_factor=2)], 1)))


@torch.no_grad()
def iou(model, loader):
    model.eval()
    both = either = 0.0
    for x, y in loader:
        said, there = model(x) > 0, y > 0.5
        both += (said & there).sum().item()
        either += (said | there).sum().item()
    return both / max(either, 1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = UNet()
    loader = DataLoader(Slides(*slides(320, 1), buggy), batch_size=16, shuffle=True)
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": loader,
        "val": DataLoader(TensorDataset(*slides(100, 2)), batch_size=50),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=6e-3, total_steps=10 * len(loader)),
        "scheduler_step": "batch",
        "evaluate": iou,
        "epochs": 10,
    }


def truth(model, seed=0):
    return iou(model, DataLoader(TensorDataset(*slides(200, 3)), batch_size=100))


def setup():
    return build(True)


def fixed():
    return build(False)
