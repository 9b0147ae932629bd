"""Forecasts the next 3.2 s of pedestrians (ETH/UCY) from their last 3.2 s, GRU to GRU; training walks are turned.

Bug: the random turn of a walk is applied to the steps that are seen and not to the steps to be forecast."""

import math
import os
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
SEEN, AHEAD = 8, 8
HERE = Path(os.environ.get("SNOWBALL_SHARED", Path(__file__).resolve().parents[3].parent / "shared" / "data"))


@cache
def walks(part, most=2500):
    """Steps (N, SEEN + AHEAD - 1, 2) in metres of unbroken tracks of the fold zara1 that move."""
    found = []
    for file in sorted((HERE / "eth-ucy" / "zara1" / part).glob("*.txt")):
        tracks = {}
        for line in file.read_text().splitlines():
            frame, person, x, y = (float(word) for word in line.split())
            tracks.setdefault(person, []).append((frame, x, y))
        for person in sorted(tracks):
            rows = torch.tensor(sorted(tracks[person]))
            for begin in range(0, len(rows) - SEEN - AHEAD + 1, 4):
                piece = rows[begin : begin + SEEN + AHEAD]
                if (piece[1:, 0] - piece[:-1, 0] == 10).all():
                    found.append(piece[1:, 1:] - piece[:-1, 1:])
    steps = torch.stack(found)
    steps = steps[steps.sum(1).norm(dim=1) > 1]
    return steps[torch.randperm(len(steps), generator=torch.Generator().manual_seed(0))[:most]]


class Turned(Dataset):
    def __init__(self, steps, turn_future, seed):
        self.steps, self.turn_future = steps, turn_future
        self.generator = torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.steps)

    def __getitem__(self, row):
        seen, future = self.steps[row, : SEEN - 1], self.steps[row, SEEN - 1 :]
        angle = 2 * math.pi * torch.rand((), generator=self.generator)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).reshape(2, 2)
        seen = seen @ turn
        if self.turn_future:
            future = future @ turn
        return seen, future


class Forecaster(nn.Module):
    def __init__(self, width=48):
        super().__init__()
        self.reader, self.writer = nn.GRU(2, width, batch_first=True), nn.GRUCell(2, width)
        self.step = nn.Linear(width, 2)

    def forward(self, seen):
        hidden = self.reader(seen)[1][0]
        last, out = seen[:, -1], []
        for _ in range(AHEAD):
            hidden = self.writer(last, hidden)
            last = last + self.step(hidden)
            out.append(last)
        return torch.stack(out, 1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val = Turned(walks("train"), not buggy, seed), walks("val", 600)
    model = Forecaster()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(beta=0.1),
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader([(walk[: SEEN - 1], walk[SEEN - 1 :]) for walk in val], 200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 8,
    }


@torch.no_grad()
def r2(model, loader):
    """Of the place where people end up, from where they were seen last."""
    model.eval()
    ends = [(model(seen).sum(1), future.sum(1)) for seen, future in loader]
    guess, wanted = torch.cat([a for a, _ in ends]), torch.cat([b for _, b in ends])
    return 1 - ((guess - wanted) ** 2).sum().item() / ((wanted - wanted.mean(0)) ** 2).sum().item()


def truth(model, seed=0):
    steps = walks("test", 1000)
    return r2(model, [(steps[:, : SEEN - 1], steps[:, SEEN - 1 :])])


def setup():
    return build(True)


def fixed():
    return build(False)
