"""Cleans pictures of star fields: the network predicts the noise, which is subtracted.

Near: the target is nearly the input (a denoiser's is), the last layer begins at zero so that training starts from the
identity, and most pixels of the targets are close to the same dark sky."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("target-leak", "constant-init", "dead-units", "constant-input")
SIZE = 24


def fields(rows, seed):
    g = torch.Generator().manual_seed(seed)
    sky = torch.zeros(rows, SIZE, SIZE)
    place = torch.randint(0, SIZE, (rows, 14, 2), generator=g)
    bright = torch.rand(rows, 14, generator=g) ** 3 * 8 + 1
    sky[torch.arange(rows).unsqueeze(1), place[..., 0], place[..., 1]] = bright
    axis = torch.arange(-3, 4).float()
    spread = torch.exp(-(axis.unsqueeze(0) ** 2 + axis.unsqueeze(1) ** 2) / (2 * 1.2**2))
    clean = F.conv2d(sky.unsqueeze(1), spread.view(1, 1, 7, 7) / spread.max(), padding=3)
    clean = clean / 3
    return clean + 0.5 * torch.randn(clean.shape, generator=g), clean


class Cleaner(nn.Module):
    def __init__(self, width=12):
        super().__init__()
        self.down = nn.Sequential(nn.Conv2d(1, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        self.deep = nn.Sequential(
            nn.ReLU(), nn.AvgPool2d(2), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Upsample(scale_factor=2)
        )
        self.out = nn.Conv2d(2 * width, 1, 3, padding=1)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, noisy):
        fine = self.down(noisy)
        return noisy - self.out(torch.cat([F.relu(fine), self.deep(fine)], 1))


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Cleaner()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(TensorDataset(*fields(400, 21)), 16, shuffle=True),
        "val": DataLoader(TensorDataset(*fields(100, 22)), 50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 8,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*fields(200, 23)), 50))


def fixed():
    return build()
