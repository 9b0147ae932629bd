"""How far to steer from a picture of the road; the bug: pictures are mirrored and the angle keeps its sign."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
HEIGHT, WIDTH = 16, 32


def roads(n, seed):
    """Pictures (n, 1, 16, 32) of a road that bends by its angle in -1..1 and lies somewhat left or right."""
    g = torch.Generator().manual_seed(seed)
    angle = 2 * torch.rand(n, generator=g) - 1
    offset = 0.3 * (2 * torch.rand(n, generator=g) - 1)
    far = torch.linspace(1, 0, HEIGHT)
    middle = WIDTH / 2 * (1 + offset[:, None] * (1 - far) + 0.8 * angle[:, None] * far**2)  # (n, HEIGHT)
    across = torch.arange(WIDTH) + 0.5
    road = torch.sigmoid(5 - 2 * far[:, None] - (across - middle[:, :, None]).abs())
    return (road + 0.3 * torch.randn(n, HEIGHT, WIDTH, generator=g)).unsqueeze(1), angle


class Drives(Dataset):
    def __init__(self, n, seed, mirror=False, turn_angle=True):
        self.pictures, self.angles = roads(n, seed)
        self.mirror, self.turn_angle = mirror, turn_angle

    def __len__(self):
        return len(self.angles)

    def __getitem__(self, i):
        picture, angle = self.pictures[i], self.angles[i]
        if self.mirror and torch.rand(1).item() < 0.5:
            picture = torch.flip(picture, dims=[2])
            angle = -angle if self.turn_angle else angle
        return picture, angle


class Pilot(nn.Module):
    def __init__(self):
        super().__init__()
        self.eyes = nn.Sequential(nn.Conv2d(1, 8, 5, stride=2), nn.ELU(), nn.Conv2d(8, 16, 3, stride=2), nn.ELU())
        self.hands = nn.Sequential(nn.Flatten(), nn.Linear(16 * 2 * 6, 32), nn.ELU(), nn.Linear(32, 1))

    def forward(self, picture):
        return self.hands(self.eyes(picture)).squeeze(1)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    model = Pilot()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Drives(600, 1, mirror=True, turn_angle=not buggy), batch_size=20, shuffle=True),
        "val": DataLoader(Drives(200, 2), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 10,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    pictures, angles = roads(500, 3)
    with torch.no_grad():
        error = (model(pictures) - angles).square().mean()
    return 1 - (error / angles.var()).item()
