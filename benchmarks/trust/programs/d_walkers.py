"""Forecasts 12 steps of a pedestrian's path from 8 observed ones (ETH/UCY), in coordinates around the last seen place.

Bug: the mirror augmentation flips the observed steps and leaves the path to forecast as it was."""

from functools import cache

import numpy as np
import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ("label-misaligned",)
HIGHER = "truth"

OBSERVED, AHEAD = 8, 12
SCENES = ("biwi_eth", "biwi_hotel", "crowds_zara02", "uni_examples")
FOLD = SHARED / "eth-ucy" / "zara1"


def cut_windows(file, stride):
    """Runs of 20 consecutive steps of one pedestrian, (N, 20, 2) in metres."""
    rows = np.loadtxt(file)
    windows = []
    for pedestrian in np.unique(rows[:, 1]):
        track = rows[rows[:, 1] == pedestrian]
        for begin in range(0, len(track) - OBSERVED - AHEAD + 1, stride):
            part = track[begin : begin + OBSERVED + AHEAD]
            if part[-1, 0] - part[0, 0] == 10 * (len(part) - 1):
                windows.append(part[:, 2:4])
    return np.array(windows, dtype=np.float32).reshape(-1, OBSERVED + AHEAD, 2)


@cache
def windows(part):
    if part == "test":
        return torch.from_numpy(cut_windows(FOLD / "test" / "crowds_zara01.txt", stride=6))
    files = [FOLD / part / f"{scene}_{part}.txt" for scene in SCENES]
    return torch.from_numpy(np.concatenate([cut_windows(file, stride=4) for file in files]))


def to_local(paths):
    """Steps seen, as moves from one to the next, and the coming places, seen from the last known one."""
    seen, coming = paths[..., :OBSERVED, :], paths[..., OBSERVED:, :]
    return seen.diff(dim=-2), coming - seen[..., -1:, :]


class Paths(Dataset):
    def __init__(self, part, mirror=False, mirror_target=True, seed=0):
        self.moves, self.coming = to_local(windows(part))
        self.mirror, self.mirror_target = mirror, mirror_target
        self.rng = torch.Generator().manual_seed(seed)

    def __len__(self):
        return len(self.moves)

    def __getitem__(self, index):
        moves, coming = self.moves[index], self.coming[index]
        if self.mirror:
            sign = torch.randint(0, 2, (2,), generator=self.rng) * 2.0 - 1.0  # either axis, or both
            moves = moves * sign
            if self.mirror_target:
                coming = coming * sign
        return moves, coming


class PathForecaster(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.inward = nn.Linear(2, width)
        self.encoder = nn.GRU(width, width, batch_first=True)
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, AHEAD * 2))

    def forward(self, moves):
        _, state = self.encoder(torch.relu(self.inward(moves)))
        return self.head(state[-1]).unflatten(1, (AHEAD, 2))


def displacement_score(model, loader):
    """1 - error / error of standing still, of squared distances over all steps."""
    model.eval()
    missed = total = 0.0
    with torch.no_grad():
        for moves, coming in loader:
            missed += (model(moves) - coming).square().sum().item()
            total += coming.square().sum().item()
    return 1 - missed / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = Paths("train", mirror=True, mirror_target=not buggy, seed=seed)
    model = PathForecaster()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(train, 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(Paths("val"), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": displacement_score,
        "epochs": 12,
    }


def truth(model, seed=0):
    return displacement_score(model, DataLoader(Paths("test"), 256))


def setup():
    return build(True)


def fixed():
    return build(False)
