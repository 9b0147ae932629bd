"""A little U-Net cuts handwritten digits out of noise; the learning rate lost two zeros after its point too many."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "lr-too-low"
ALSO = ()
HIGHER = "truth"


def double(inward, outward):
    return nn.Sequential(
        nn.Conv2d(inward, outward, 3, padding=1),
        nn.LeakyReLU(0.1),
        nn.Conv2d(outward, outward, 3, padding=1),
        nn.LeakyReLU(0.1),
    )


class UNet(nn.Module):
    def __init__(self, c=6):
        super().__init__()
        self.down1, self.down2 = double(1, c), double(c, 2 * c)
        self.up = nn.ConvTranspose2d(2 * c, c, 2, stride=2)
        self.join = double(2 * c, c)
        self.out = nn.Conv2d(c, 1, 1)

    def forward(self, x):
        a = self.down1(x)
        b = self.down2(F.max_pool2d(a, 2))
        return self.out(self.join(torch.cat([a, self.up(b)], dim=1)))


def noisy(rows, seed):
    clean = rows.x.unsqueeze(1).float() / 255
    noise = torch.rand(clean.shape, generator=torch.Generator().manual_seed(seed))
    return TensorDataset((0.5 * clean + 0.7 * noise).clamp(0, 1), (clean > 0.4).float())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(train=600, val=200)
    model = UNet()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(2.0)),
        "train": DataLoader(noisy(parts.train, 1), batch_size=20, shuffle=True),
        "val": DataLoader(noisy(parts.val, 2), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-6 if buggy else 5e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """Intersection over union of the pixels said to be ink."""
    x, y = noisy(mnist(test=300).test, 3).tensors
    model.eval()
    said, ink = model(x) > 0, y > 0.5
    return ((said & ink).sum() / (said | ink).sum()).item()
