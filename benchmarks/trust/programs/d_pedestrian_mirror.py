"""Forecasts where pedestrians of a shopping street walk in the next 4.8 s from their last 3.2 s; walks are mirrored at random.

Bug: the mirroring turns over the observed steps and leaves the steps to be forecast as they were."""

from collections import defaultdict

import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "augment-target"
ALSO = ()
HIGHER = "truth"
SEEN, AHEAD = 8, 12


def walks(part, *names):
    """Every window of 20 steps without a gap: steps up to now and from now on, both relative to the present place."""
    past, future = [], []
    for name in names:
        tracks = defaultdict(list)
        for line in (SHARED / "eth-ucy" / "zara1" / part / name).read_text().splitlines():
            frame, person, x, y = map(float, line.split())
            tracks[person].append((frame, x, y))
        for track in tracks.values():
            steps = torch.tensor(sorted(track))
            for begin in range(0, len(steps) - SEEN - AHEAD + 1, 2):
                window = steps[begin : begin + SEEN + AHEAD]
                if window[-1, 0] - window[0, 0] == 10 * (SEEN + AHEAD - 1):
                    here = window[:, 1:] - window[SEEN - 1, 1:]
                    past.append(here[:SEEN])
                    future.append(here[SEEN:])
    return torch.stack(past), torch.stack(future)


class Walks(Dataset):
    def __init__(self, past, future, mirror=False, both=True):
        self.past, self.future, self.mirror, self.both = past, future, mirror, both

    def __len__(self):
        return len(self.past)

    def __getitem__(self, row):
        past, future = self.past[row], self.future[row]
        if self.mirror and torch.rand(()) < 0.5:
            flip = torch.tensor([-1.0, 1.0])
            past = past * flip
            if self.both:
                future = future * flip
        return past, future


class Walker(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.encoder = nn.GRU(4, hidden, batch_first=True)
        self.decoder = nn.Sequential(nn.Linear(hidden, 64), nn.ReLU(), nn.Linear(64, 2 * AHEAD))

    def forward(self, past):
        speed = torch.cat([torch.zeros_like(past[:, :1]), past[:, 1:] - past[:, :-1]], 1)
        _, state = self.encoder(torch.cat([past, speed], 2))
        return self.decoder(state[0]).view(-1, AHEAD, 2).cumsum(1)


@torch.no_grad()
def r2(model, past, future):
    model.eval()
    miss = ((model(past) - future) ** 2).sum()
    return (1 - miss / ((future - future.mean(0)) ** 2).sum()).item()


def evaluate(model, loader):
    return r2(model, *(torch.cat(t) for t in zip(*loader, strict=True)))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train = walks("train", "crowds_zara02_train.txt", "crowds_zara03_train.txt")
    val = walks("val", "crowds_zara02_val.txt", "crowds_zara03_val.txt")
    model = Walker()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(
            Walks(*train, mirror=True, both=not buggy),
            batch_size=64,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(Walks(*val), batch_size=256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 12,
    }


def truth(model, seed=0):
    """On the street's other recording."""
    return r2(model, *walks("test", "crowds_zara01.txt"))


def setup():
    return build(True)


def fixed():
    return build(False)
