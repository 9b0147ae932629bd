"""Names the particle behind a shower in a small calorimeter; the loss per shower is capped against wrongly tagged ones.

Bug: the cap is so tight that showers of the rarer kinds pass it as soon as the network leans to the common ones."""

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-clipped"
ALSO = ()
HIGHER = "truth"
KINDS = ("pion", "photon", "electron", "muon")
SIDE = 10


def showers(rows, seed, shares=(0.45, 0.3, 0.15, 0.1), mistagged=0.0):
    """Two layers of cells (rows, 2, 10, 10) and the kind."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.multinomial(torch.tensor(shares), rows, replacement=True, generator=g)
    pick = lambda *values: torch.tensor(values)[kind].view(-1, 1, 1)
    ys, xs = torch.meshgrid(torch.arange(SIDE).float(), torch.arange(SIDE).float(), indexing="ij")
    centre = 2.5 + 4 * torch.rand(rows, 2, generator=g)
    spread = lambda low, high: low + (high - low) * torch.rand(rows, 1, 1, generator=g)

    def deposit(width):
        far = (xs - centre[:, 0].view(-1, 1, 1)) ** 2 + (ys - centre[:, 1].view(-1, 1, 1)) ** 2
        return torch.exp(-far / (2 * width**2)) / width

    front = pick(0.5, 0.9, 1.3, 0.6) * spread(0.6, 1.4) * deposit(pick(1.5, 1.1, 0.9, 0.6) * spread(0.8, 1.2))
    back = pick(1.0, 0.5, 0.4, 0.6) * spread(0.6, 1.4) * deposit(pick(2.0, 1.5, 1.3, 0.6) * spread(0.8, 1.2))
    cells = torch.stack([front, back], 1)
    cells = cells * (1 + 0.3 * torch.randn(cells.shape, generator=g)) + 0.05 * torch.randn(cells.shape, generator=g)
    wrong = torch.rand(rows, generator=g) < mistagged
    return cells, torch.where(wrong, torch.randint(0, len(KINDS), (rows,), generator=g), kind)


class Namer(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(2, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU(), nn.AvgPool2d(2),
            nn.Flatten(), nn.Linear(16 * 25, 32), nn.ReLU(), nn.Linear(32, len(KINDS)),
        )  # fmt: skip

    def forward(self, cells):
        return self.net(cells)


def capped(cap):
    def loss(logits, kind):
        return cross_entropy(logits, kind, reduction="none").clamp(max=cap).mean()

    return loss


def balanced_accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        guess, y = (torch.cat(part) for part in zip(*[(model(x).argmax(1), y) for x, y in loader], strict=False))
    return sum((guess[y == c] == c).float().mean().item() for c in range(len(KINDS))) / len(KINDS)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Namer()
    return {
        "model": model,
        "loss": capped(1.5 if buggy else 7.0),
        "train": DataLoader(TensorDataset(*showers(2500, 111, mistagged=0.01)), 32, shuffle=True),
        "val": DataLoader(TensorDataset(*showers(600, 112)), 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": balanced_accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return balanced_accuracy(model, DataLoader(TensorDataset(*showers(1500, 113)), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
