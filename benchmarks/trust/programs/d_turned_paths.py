"""Where people on a square walk (ETH/UCY): eight seen steps in, the next twelve out; paths are turned by chance to
augment.

Bug: only the seen steps are turned, the steps to come stay as they were."""

import math
import os
from collections import defaultdict
from pathlib import Path

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
SEEN, NEXT = 8, 12
FOLDER = Path(os.environ.get("SNOWBALL_SHARED", material.SHARED)) / "eth-ucy" / "zara1"


def paths(*files):
    """(N, 20, 2) metres, the last seen place at 0."""
    found = []
    for file in files:
        people = defaultdict(dict)
        for line in (FOLDER / file).read_text().splitlines():
            frame, who, x, y = (float(word) for word in line.split())
            people[who][int(frame)] = (x, y)
        for steps in people.values():
            frames = sorted(steps)
            for begin in range(0, len(frames) - SEEN - NEXT + 1, 4):
                part = frames[begin : begin + SEEN + NEXT]
                if part[-1] - part[0] == 10 * (SEEN + NEXT - 1):
                    found.append([steps[frame] for frame in part])
    found = torch.tensor(found)
    return found - found[:, SEEN - 1 : SEEN]


class Walks(Dataset):
    def __init__(self, walks, turn=None):
        self.walks, self.turn = walks, turn

    def __len__(self):
        return len(self.walks)

    def __getitem__(self, row):
        walk = self.walks[row]
        seen, ahead = walk[:SEEN], walk[SEEN:]
        return self.turn(seen, ahead) if self.turn else (seen, ahead)


def rotation():
    angle = torch.rand(()) * 2 * math.pi
    sin, cos = angle.sin(), angle.cos()
    return torch.stack([torch.stack([cos, -sin]), torch.stack([sin, cos])])


def turn_seen(seen, ahead):
    return seen @ rotation().T, ahead


def turn_walk(seen, ahead):
    matrix = rotation()
    return seen @ matrix.T, ahead @ matrix.T


class Forecaster(nn.Module):
    """Says by how much the walk departs from going on as in the last step."""

    def __init__(self, size=48):
        super().__init__()
        self.encoder = nn.LSTM(2, size, batch_first=True)
        self.decoder = nn.Sequential(nn.Linear(size, 64), nn.ReLU(), nn.Linear(64, 2 * NEXT))

    def forward(self, seen):
        _, (state, _) = self.encoder(seen.diff(dim=1))
        return self.decoder(state[-1]).view(-1, NEXT, 2).cumsum(1)


@torch.no_grad()
def evaluate(model, loader):
    """R² of the places to come, of which the last seen place is the origin."""
    model.eval()
    wrong = total = 0.0
    for seen, ahead in loader:
        wrong += (model(seen) - ahead).square().sum().item()
        total += ahead.square().sum().item()
    return 1 - wrong / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    walks = paths(
        "train/crowds_zara02_train.txt",
        "train/crowds_zara03_train.txt",
        "train/biwi_eth_train.txt",
        "train/biwi_hotel_train.txt",
    )
    val = paths("val/crowds_zara02_val.txt", "val/crowds_zara03_val.txt")
    model = Forecaster()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(Walks(walks, turn_seen if buggy else turn_walk), 32, shuffle=True),
        "val": DataLoader(Walks(val), 128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 10,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Walks(paths("test/crowds_zara01.txt")), 256))


def setup():
    return build(True)


def fixed():
    return build(False)
