"""A small U-Net marks bright blobs ("polyps") among look-alike streaks on synthetic endoscopy frames; random flips.

Bug: the random flips turn the frame, and leave the mask as it was.
"""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
SIDE = 32


def frames(count, seed):
    """Grey frames (count, 1, SIDE, SIDE) with an elliptic lesion each, and the lesions' masks."""
    g = torch.Generator().manual_seed(seed)
    axis = torch.arange(SIDE, dtype=torch.float32)
    rows, columns = torch.meshgrid(axis, axis, indexing="ij")
    pictures, masks = [], []
    for _ in range(count):
        cy, cx = (torch.rand(2, generator=g) * 18 + 7).tolist()
        ry, rx = (torch.rand(2, generator=g) * 4 + 3).tolist()
        mask = (((rows - cy) / ry) ** 2 + ((columns - cx) / rx) ** 2 < 1).float()
        slope = torch.randn(2, generator=g) * 0.02
        light = slope[0] * (rows - SIDE / 2) + slope[1] * (columns - SIDE / 2)
        place, tilt = torch.rand(2, generator=g).tolist()
        streak = ((columns - place * SIDE - (tilt - 0.5) * rows).abs() < 1.5).float()
        noise = torch.randn(SIDE, SIDE, generator=g) * 0.35
        pictures.append(0.9 * mask + 0.9 * streak * (1 - mask) + light + noise)
        masks.append(mask)
    return torch.stack(pictures)[:, None], torch.stack(masks)[:, None]


class Frames(Dataset):
    def __init__(self, pictures, masks, augment=False, masks_too=True, seed=0):
        self.pictures, self.masks = pictures, masks
        self.augment, self.masks_too = augment, masks_too
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.pictures)

    def __getitem__(self, index):
        picture, mask = self.pictures[index], self.masks[index]
        if self.augment:
            coins = torch.rand(2, generator=self.generator)
            dims = [dim for dim, coin in zip((1, 2), coins.tolist(), strict=True) if coin < 0.5]
            if dims:
                picture = picture.flip(dims)
                if self.masks_too:
                    mask = mask.flip(dims)
        return picture, mask


def block(inside, outside):
    return nn.Sequential(
        nn.Conv2d(inside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
        nn.Conv2d(outside, outside, 3, padding=1, bias=False),
        nn.BatchNorm2d(outside),
        nn.ReLU(inplace=True),
    )


class UNet(nn.Module):
    def __init__(self, width=8):
        super().__init__()
        self.down1, self.down2 = block(1, width), block(width, 2 * width)
        self.bottom = block(2 * width, 4 * width)
        self.up2 = nn.ConvTranspose2d(4 * width, 2 * width, 2, stride=2)
        self.merge2 = block(4 * width, 2 * width)
        self.up1 = nn.ConvTranspose2d(2 * width, width, 2, stride=2)
        self.merge1 = block(2 * width, width)
        self.out = nn.Conv2d(width, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        c = self.bottom(F.max_pool2d(b, 2))
        b = self.merge2(torch.cat([self.up2(c), b], 1))
        a = self.merge1(torch.cat([self.up1(b), a], 1))
        return self.out(a)


def dice_bce(logits, masks):
    p = logits.sigmoid()
    overlap = (p * masks).sum((1, 2, 3))
    dice = (2 * overlap + 1) / (p.sum((1, 2, 3)) + masks.sum((1, 2, 3)) + 1)
    return F.binary_cross_entropy_with_logits(logits, masks) + (1 - dice).mean()


def mean_dice(model, loader):
    """Dice of each frame's thresholded mask, meaned over the frames."""
    model.eval()
    total = count = 0
    with torch.no_grad():
        for pictures, masks in loader:
            marked = (model(pictures) > 0).float()
            overlap = (marked * masks).sum((1, 2, 3))
            total += (2 * overlap / (marked.sum((1, 2, 3)) + masks.sum((1, 2, 3)))).sum().item()
            count += len(masks)
    return total / count


def build(buggy, seed=0):
    known, held = Frames(*frames(240, 1), True, not buggy, seed), Frames(*frames(80, 2))
    torch.manual_seed(seed)
    model = UNet()
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": dice_bce,
        "train": DataLoader(known, batch_size=16, shuffle=True, generator=order),
        "val": DataLoader(held, batch_size=40),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3),
        "evaluate": mean_dice,
        "epochs": 8,
    }


def truth(model, seed=0):
    return mean_dice(model, DataLoader(Frames(*frames(150, 3)), batch_size=50))


def setup():
    return build(True)


def fixed():
    return build(False)
