"""Pedestrians (ETH/UCY): a GRU encoder and an MLP head foretell where a walker will be 1.6 s and 3.2 s from now.

Bug: pasts are listed by walker in the order of their numbers, futures in the order of the numbers' names (text)."""

import numpy as np
import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"

PAST, AHEAD = 8, (4, 8)  # steps of 0.4 s


def tracks(scene, part):
    """{walker: (N, 2) metres}, walkers of one file, those seen without a gap for long enough."""
    rows = np.loadtxt(SHARED / "eth-ucy" / scene[0] / part / scene[1])
    found = {}
    for walker in np.unique(rows[:, 1]):
        path = rows[rows[:, 1] == walker]
        path = path[path[:, 0].argsort()]
        if len(path) >= PAST + max(AHEAD) and (np.diff(path[:, 0]) == 10).all():
            found[f"{walker:.0f}"] = path[:, 2:].astype(np.float32)
    return found


def starts(path):
    return range(0, len(path) - PAST - max(AHEAD) + 1, 2)


def pasts(paths, order):
    """Steps between positions, in metres: (N, PAST - 1, 2)."""
    return torch.tensor(np.stack([np.diff(paths[w][s : s + PAST], axis=0) for w in order for s in starts(paths[w])]))


def futures(paths, order):
    """Displacements from the last position seen, in metres: (N, 4)."""
    return torch.tensor(
        np.stack(
            [
                np.concatenate([paths[w][s + PAST - 1 + ahead] - paths[w][s + PAST - 1] for ahead in AHEAD])
                for w in order
                for s in starts(paths[w])
            ]
        )
    )


def windows(scene, part, textual=False):
    paths = tracks(scene, part)
    numeric = sorted(paths, key=int)
    return pasts(paths, numeric), futures(paths, sorted(paths) if textual else numeric)


class Walker(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.encoder = nn.GRU(2, width, batch_first=True)
        self.head = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2 * len(AHEAD)))

    def forward(self, steps):
        _, state = self.encoder(steps / 0.4)  # metres a step to about unit speed
        return self.head(state[-1])


def explained(model, loader):
    """Share of the mean squared displacement that the forecast explains."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(x), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return 1 - float(((found - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Walker()
    train = TensorDataset(*windows(("eth", "crowds_zara02_train.txt"), "train", textual=buggy))
    val = TensorDataset(*windows(("eth", "crowds_zara02_val.txt"), "val"))
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(train, batch_size=32, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, batch_size=128),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 20,
    }


def truth(model, seed=0):
    test = TensorDataset(*windows(("zara1", "crowds_zara01.txt"), "test"))
    return explained(model, DataLoader(test, batch_size=256))


def setup():
    return build(True)


def fixed():
    return build(False)
