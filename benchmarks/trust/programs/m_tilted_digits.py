"""Reads scanned digits and how far they are tilted at once: a shared CNN with two heads, trained in its own step.

Bug: only the heads' gradients are cleared before the backward pass; those of the shared body pile up."""

import torch
from material import digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"


def tilt(rows, seed):
    """Pictures (N, 1, 16, 16), turned by up to 0.6 rad; classes and angles are stacked as (N, 2)."""
    angles = 1.2 * torch.rand(len(rows.y), generator=torch.Generator().manual_seed(seed)) - 0.6
    zeros = torch.zeros_like(angles)
    cosine, sine = angles.cos(), angles.sin()
    turn = torch.stack([cosine, -sine, zeros, sine, cosine, zeros], 1).view(-1, 2, 3)
    pictures = F.interpolate(rows.x.view(-1, 1, 8, 8) / 8 - 1, size=16, mode="bilinear", align_corners=True)
    grid = F.affine_grid(turn, list(pictures.shape), align_corners=True)
    turned = F.grid_sample(pictures, grid, padding_mode="border", align_corners=True)
    return turned, torch.stack([rows.y.float(), angles / 0.35], 1)


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1), nn.ReLU(), nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(384, 64), nn.ReLU(),
        )  # fmt: skip
        self.heads = nn.ModuleDict({"digit": nn.Linear(64, 10), "angle": nn.Linear(64, 1)})

    def forward(self, x):
        hidden = self.body(x)
        return self.heads["digit"](hidden), self.heads["angle"](hidden).squeeze(1)


def loss(outputs, targets):
    scores, angles = outputs
    return F.cross_entropy(scores, targets[:, 0].long()) + F.mse_loss(angles, targets[:, 1])


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(x)[0].argmax(1) == y[:, 0] for x, y in loader]
    return torch.cat(hits).float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = TwoHeads()

    def train_step(model, batch, optimizer):
        model.train()
        if buggy:
            model.heads.zero_grad()
        else:
            model.zero_grad()
        x, y = batch
        value = loss(model(x), y)
        value.backward()
        optimizer.step()
        return value.item()

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(*tilt(parts.train, 1)), batch_size=30, shuffle=True),
        "val": DataLoader(TensorDataset(*tilt(parts.val, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": train_step,
        "evaluate": accuracy,
        "epochs": 20,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*tilt(digits().test, 3)), batch_size=200))


def setup():
    return build(True)


def fixed():
    return build(False)
