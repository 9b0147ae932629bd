"""The axis of a sunspot pair (from the leading to the following spot) off magnetograms, with mirrored and negated copies.

Near: half of the training pictures are mirrored and half have their polarity swapped, and the targets change with them
as they must: east turns over with a mirror, both components with the polarity."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("augment-target", "train-val-mismatch")
SIZE = 20


def magnetograms(rows, seed):
    g = torch.Generator().manual_seed(seed)
    axis = torch.randn(rows, 2, generator=g)
    axis = axis / axis.norm(dim=1, keepdim=True) * (2.5 + 3.5 * torch.rand(rows, 1, generator=g))
    centre = (SIZE - 1) / 2 + 1.2 * torch.randn(rows, 2, generator=g)
    ys, xs = torch.meshgrid(torch.arange(SIZE).float(), torch.arange(SIZE).float(), indexing="ij")

    def spot(place):
        far = (xs - place[:, 0].view(-1, 1, 1)) ** 2 + (ys - place[:, 1].view(-1, 1, 1)) ** 2
        return torch.exp(-far / (2 * (1.2 + torch.rand(rows, 1, 1, generator=g)) ** 2))

    field = spot(centre - axis / 2) - spot(centre + axis / 2) + 0.1 * torch.randn(rows, SIZE, SIZE, generator=g)
    return field.unsqueeze(1), axis / 4


def step(model, batch, optimizer):
    model.train()
    field, axis = batch
    mirrored = (torch.rand(len(field)) < 0.5).view(-1, 1, 1, 1)
    swapped = torch.where(torch.rand(len(field)) < 0.5, -1.0, 1.0)
    field = torch.where(mirrored, field.flip(3), field) * swapped.view(-1, 1, 1, 1)
    turn = torch.where(mirrored.view(-1), -1.0, 1.0)
    axis = torch.stack([axis[:, 0] * turn, axis[:, 1]], 1) * swapped.unsqueeze(1)
    optimizer.zero_grad()
    error = nn.functional.smooth_l1_loss(model(field), axis)
    error.backward()
    optimizer.step()
    return error


class Axis(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ELU(), nn.AvgPool2d(2),
            nn.Conv2d(16, 24, 3, padding=1), nn.BatchNorm2d(24), nn.ELU(), nn.AvgPool2d(2),
        )  # fmt: skip
        self.read = nn.Linear(24 * 25, 2)

    def forward(self, field):
        return self.read(self.look(field).flatten(1))


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(0, correction=0).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = Axis()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(TensorDataset(*magnetograms(1000, 61)), 40, shuffle=True),
        "val": DataLoader(TensorDataset(*magnetograms(300, 62)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": step,
        "evaluate": explained,
        "epochs": 8,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(TensorDataset(*magnetograms(600, 63)), 200))


def fixed():
    return build()
