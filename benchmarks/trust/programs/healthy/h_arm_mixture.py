"""Inverse kinematics of an arm of two links: from a place, a mixture density over the two elbows that reach it.

Near: loss-sign, metric-wrong; the loss is the negative log of a density and falls far below 0, and the score lets the arm
reach with its likeliest component rather than compare with the one pose that the row happens to hold. One network output
for a place could not be right here: the mean of both poses reaches nowhere."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-sign", "metric-wrong", "label-noise", "non-finite")
PARTS = 4


def reach(pose):
    first, second = pose[:, 0], pose[:, 0] + pose[:, 1]
    return torch.stack([first.cos() + 0.8 * second.cos(), first.sin() + 0.8 * second.sin()], 1)


def poses(rows=3600):
    """Shoulders of -60 to 60 degrees, elbows of 35 to 145 degrees to either side."""
    draw = torch.Generator().manual_seed(6)
    shoulder = torch.empty(rows).uniform_(-math.pi / 3, math.pi / 3, generator=draw)
    bend = torch.empty(rows).uniform_(0.6, 2.5, generator=draw)
    side = torch.randint(0, 2, (rows,), generator=draw) * 2 - 1
    pose = torch.stack([shoulder, side * bend], 1)
    return reach(pose), pose


class Mixture(nn.Module):
    def __init__(self, width=96):
        super().__init__()
        self.body = nn.Sequential(nn.Linear(2, width), nn.Tanh(), nn.Linear(width, width), nn.Tanh())
        self.share = nn.Linear(width, PARTS)
        self.centre = nn.Linear(width, 2 * PARTS)
        self.log_scale = nn.Linear(width, 2 * PARTS)

    def forward(self, place):
        x = self.body(place)
        centre, log_scale = (layer(x).view(-1, PARTS, 2) for layer in (self.centre, self.log_scale))
        return torch.cat([self.share(x).unsqueeze(2), centre, log_scale.clamp(-4, 1)], 2)


def loss(outputs, targets):
    share, centre, log_scale = outputs[..., 0], outputs[..., 1:3], outputs[..., 3:]
    z = (targets.unsqueeze(1) - centre) * torch.exp(-log_scale)
    each = (-0.5 * z**2 - log_scale - 0.5 * math.log(2 * math.pi)).sum(2)
    return -torch.logsumexp(share.log_softmax(1) + each, 1).mean()


@torch.no_grad()
def reached(model, places):
    """R² of the places that the likeliest poses reach."""
    model.eval()
    outputs = model(places)
    peak = (outputs[..., 0] - outputs[..., 3:].sum(2)).argmax(1)
    found = reach(outputs[torch.arange(len(places)), peak, 1:3])
    return (1 - ((found - places) ** 2).sum() / ((places - places.mean(0)) ** 2).sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    places, pose = poses()
    model = Mixture()
    optimizer = torch.optim.Adam(model.parameters(), lr=4e-3)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(places[:2400], pose[:2400]),
            batch_size=64,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(places[2400:2800], pose[2400:2800]), batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 40),
        "scheduler_step": "epoch",
        "evaluate": lambda model, loader: reached(model, torch.cat([x for x, _ in loader])),
        "epochs": 40,
    }


def truth(model, seed=0):
    return reached(model, poses()[0][2800:])


def fixed():
    return build()
