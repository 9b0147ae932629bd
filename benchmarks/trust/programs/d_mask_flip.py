"""Where is the digit? Masks by a small U-Net; the bug: pictures are flipped at random and their masks are not."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"


class Scenes(Dataset):
    """A digit somewhere on a noisy 40 x 40 ground, and the mask of its ink."""

    def __init__(self, rows, seed, flip=False, flip_mask=True):
        g = torch.Generator().manual_seed(seed)
        n = len(rows.x)
        self.images = torch.rand(n, 1, 40, 40, generator=g) * 0.6
        self.masks = torch.zeros(n, 1, 40, 40)
        places = torch.randint(0, 13, (n, 2), generator=g).tolist()
        for i, (top, left) in enumerate(places):
            ink = rows.x[i].float() / 255
            self.images[i, 0, top : top + 28, left : left + 28] += ink * 0.7
            self.masks[i, 0, top : top + 28, left : left + 28] = (ink > 0.4).float()
        self.flip, self.flip_mask = flip, flip_mask

    def __len__(self):
        return len(self.images)

    def __getitem__(self, i):
        image, mask = self.images[i], self.masks[i]
        if self.flip and torch.rand(()) < 0.5:
            image = image.flip(-1)
            if self.flip_mask:
                mask = mask.flip(-1)
        return image, mask


class UNet(nn.Module):
    def __init__(self, c=8):
        super().__init__()
        self.down = nn.Conv2d(1, c, 3, padding=1)
        self.middle = nn.Conv2d(c, 2 * c, 3, padding=1)
        self.up = nn.Conv2d(3 * c, c, 3, padding=1)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        high = F.leaky_relu(self.down(x), 0.1)
        low = F.leaky_relu(self.middle(F.max_pool2d(high, 2)), 0.1)
        both = torch.cat([high, F.interpolate(low, scale_factor=2)], 1)
        return self.out(F.leaky_relu(self.up(both), 0.1))


def dice(logits, masks):
    guess = (logits > 0).float()
    return (2 * (guess * masks).sum() / (guess.sum() + masks.sum() + 1e-6)).item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = mnist(400, 100, 200)
    model = UNet()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(Scenes(train, 1, flip=True, flip_mask=not buggy), batch_size=16, shuffle=True),
        "val": DataLoader(Scenes(val, 2), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "epochs": 6,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    scenes = Scenes(mnist(400, 100, 200).test, 3)
    return dice(model(scenes.images), scenes.masks)
