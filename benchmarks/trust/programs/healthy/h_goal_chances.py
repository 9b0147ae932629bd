"""The chance that a shot becomes a goal (made up), from where it is taken and how, by a small MLP on single outcomes.

Near: rows that are nearly alike have opposite labels, and the loss stays high; outcomes are draws of a chance, and it
is the chance that is wanted, so the labels are right and the score is how much of the true chance is explained."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("label-noise", "lr-too-low", "output-bias")


def shots(rows, seed):
    """Metres from the goal, angle, by head or not, pressure; whether it was a goal, and its true chance."""
    g = torch.Generator().manual_seed(seed)
    distance = 4 + 26 * torch.rand(rows, generator=g)
    angle = 1.2 * torch.randn(rows, generator=g).clamp(-1.2, 1.2)
    head = (torch.rand(rows, generator=g) < 0.25).float()
    pressure = torch.rand(rows, generator=g)
    score = 2.6 - 0.2 * distance - angle.abs() - head * (0.3 + 0.05 * distance) - 1.5 * pressure + 0.8 * (1 - head)
    chance = torch.sigmoid(score)
    goal = (torch.rand(rows, generator=g) < chance).float()
    x = torch.stack([(distance - 17) / 7.5, angle, head * 2 - 1, pressure * 3.4 - 1.7], 1)
    return x, goal, chance


def build(seed=0):
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(4, 24), nn.Tanh(), nn.Linear(24, 24), nn.Tanh(), nn.Linear(24, 1), nn.Flatten(0))
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(
            TensorDataset(*shots(6000, 1)[:2]), 100, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*shots(1500, 2)[:2]), 500),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        "evaluate": skill,
        "epochs": 12,
    }


@torch.no_grad()
def skill(model, loader):
    """Brier's skill: one minus the squared error of the chances over that of the plain share of goals."""
    model.eval()
    pairs = [(model(x).sigmoid(), goal) for x, goal in loader]
    chance, goal = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((chance - goal) ** 2).mean().item() / goal.var(correction=0).item()


def truth(model, seed=0):
    """R² against the true chances, which only the maker of the data knows."""
    x, _, chance = shots(3000, 3)
    return skill(model, [(x, chance)])


def fixed():
    return build()
