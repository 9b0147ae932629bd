"""Temperature of a reactor in kelvin, two minutes ahead, from its last 24 readings as departures from normal.

Bug: the last layer begins at zero, 640 kelvin away from what it has to say."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "output-bias"
ALSO = ()
HIGHER = "truth"


def run(rows, seed):
    """A driven, damped oscillator with a cubic spring; windows do not touch."""
    g = torch.Generator().manual_seed(seed)
    position, speed = torch.randn(rows, generator=g), torch.randn(rows, generator=g)
    push = torch.rand(rows, generator=g) * 0.6 + 0.7
    path = []
    for _t in range(36):
        pull = -position * push - 0.15 * position**3 - 0.05 * speed
        speed = speed + 0.25 * pull + 0.05 * torch.randn(rows, generator=g)
        position = position + 0.25 * speed
        path.append(position)
    path = torch.stack(path, 1)
    return path[:, :24, None], 640 + 9 * path[:, 30]


class Ahead(nn.Module):
    def __init__(self, start):
        super().__init__()
        self.conv = nn.Sequential(
            nn.Conv1d(1, 16, 3, padding=1), nn.SiLU(), nn.Conv1d(16, 16, 3, stride=2, padding=1), nn.SiLU()
        )
        self.mix = nn.Sequential(nn.Flatten(), nn.Linear(16 * 12, 64), nn.SiLU())
        self.head = nn.Linear(64, 1)
        nn.init.constant_(self.head.bias, start)

    def forward(self, x):
        return self.head(self.mix(self.conv(x.transpose(1, 2)))).squeeze(-1)


def score(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(c) for c in zip(*((model(x), y) for x, y in loader), strict=False))
    return 1 - ((p - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    x, y = run(3000, 6)
    model = Ahead(0.0 if buggy else y.mean().item())
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
    epochs = 14
    return {
        "model": model,
        "loss": nn.L1Loss(),
        "train": DataLoader(TensorDataset(x, y), batch_size=64, shuffle=True),
        "val": DataLoader(TensorDataset(*run(500, 7)), batch_size=250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        "scheduler_step": "epoch",
        "evaluate": score,
        "epochs": epochs,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return score(model, DataLoader(TensorDataset(*run(2000, 8)), batch_size=500))
