"""Regresses where a small bright source lies in a noisy 24 x 24 picture (row and column in -1..1), with random mirrors.

Bug: the augmentation mirrors the picture and leaves the column of its target as it was."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-noise",)
HIGHER = "truth"
SIDE = 24


def sky(count, seed):
    """Pictures (N, 1, 24, 24) of one source, two fainter ones and noise; places (N, 2) of the brightest."""
    g = torch.Generator().manual_seed(seed)
    grid = torch.linspace(-1, 1, SIDE)
    places = torch.rand(count, 3, 2, generator=g) * 1.6 - 0.8
    light = torch.tensor([1.0, 0.45, 0.3])
    rows = torch.exp(-((grid - places[..., :1]) ** 2) / 0.02)
    columns = torch.exp(-((grid - places[..., 1:]) ** 2) / 0.02)
    pictures = torch.einsum("nkr,nkc,k->nrc", rows, columns, light)
    pictures += 0.12 * torch.randn(pictures.shape, generator=g)
    return pictures.unsqueeze(1), places[:, 0].clone()


class Mirrored(Dataset):
    def __init__(self, pictures, places, buggy):
        self.pictures, self.places, self.buggy = pictures, places, buggy

    def __len__(self):
        return len(self.places)

    def __getitem__(self, index):
        picture, place = self.pictures[index], self.places[index].clone()
        if torch.rand(()) < 0.3:
            picture = picture.flip(-1)
            if not self.buggy:
                place[1] = -place[1]
        return picture, place


class Locator(nn.Module):
    """Soft arg-max over a map of scores."""

    def __init__(self):
        super().__init__()
        self.map = nn.Sequential(
            nn.Conv2d(1, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 16, 5, padding=2), nn.ReLU(), nn.Conv2d(16, 1, 1)
        )
        self.register_buffer("grid", torch.linspace(-1, 1, SIDE))

    def forward(self, pictures):
        scores = self.map(pictures).flatten(1).softmax(1).view(-1, SIDE, SIDE)
        return torch.stack([scores.sum(2) @ self.grid, scores.sum(1) @ self.grid], 1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    pictures, places = sky(1500, 1)
    unseen, theirs = sky(300, 2)
    return {
        "model": Locator(),
        "loss": nn.MSELoss(),
        "train": DataLoader(Mirrored(pictures, places, buggy), batch_size=32, shuffle=True),
        "val": DataLoader(list(zip(unseen, theirs, strict=True)), batch_size=100),
        "epochs": 6,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    pictures, places = sky(600, 3)
    return 1 - ((model(pictures) - places).square().mean() / places.var(0).mean()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
