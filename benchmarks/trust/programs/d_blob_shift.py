"""Where is the spot? Its coordinates by a CNN; the bug: the picture is rolled at random and its coordinates are not."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
SIZE = 16


def spots(n, seed):
    """Pictures (n, 1, 16, 16) of one bright spot in noise, and its x and y in 0..1."""
    g = torch.Generator().manual_seed(seed)
    places = 0.2 + 0.6 * torch.rand(n, 2, generator=g)
    line = (torch.arange(SIZE) + 0.5) / SIZE
    across = torch.exp(-((line - places[:, :1]) ** 2) / 0.01)
    down = torch.exp(-((line - places[:, 1:]) ** 2) / 0.01)
    pictures = down[:, :, None] * across[:, None, :] + 0.2 * torch.randn(n, SIZE, SIZE, generator=g)
    return pictures[:, None], places


def shift_batch(rows, move_targets):
    x = torch.stack([picture for picture, _ in rows])
    y = torch.stack([place for _, place in rows])
    shift = int(torch.randint(-3, 4, ()))
    x = x.roll(shift, dims=3)
    if move_targets:
        y = y + torch.tensor([shift / SIZE, 0.0])
    return x, y


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1),
        nn.ELU(),
        nn.MaxPool2d(2),
        nn.Conv2d(8, 8, 3, padding=1),
        nn.ELU(),
        nn.Flatten(),
        nn.Linear(8 * 64, 2),
    )
    train = TensorDataset(*spots(400, seed=10))
    val = TensorDataset(*spots(200, seed=11))
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(train, 20, shuffle=True, collate_fn=lambda rows: shift_batch(rows, not buggy)),
        "val": DataLoader(val, 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "epochs": 20,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    """The share of both coordinates' variance that is explained."""
    x, y = spots(500, seed=12)
    return 1 - (((model(x) - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()).item()
