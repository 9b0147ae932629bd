"""Reads the direction and spread of a spray of 4 to 48 tracks (a set, padded by its batch) by attention pooling.

Bug: the attention over the tracks is taken over the padded places too."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"


def sprays(count, seed):
    """Each spray: (tracks, 3) of angle, rapidity and log momentum; target: weighted centre (2) and width."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(count):
        tracks = 4 + int(44 * torch.rand((), generator=g) ** 2)
        centre = torch.randn(2, generator=g)
        width = 0.3 + 0.7 * torch.rand((), generator=g)
        places = centre + width * torch.randn(tracks, 2, generator=g)
        momentum = torch.randn(tracks, 1, generator=g)
        share = torch.softmax(momentum, 0)
        axis = (share * places).sum(0)
        spread = (share * (places - axis) ** 2).sum().sqrt()
        found.append((torch.cat([places, momentum], 1), torch.cat([axis, 2 * spread[None] - 1.5])))
    return found


def collate(batch):
    tracks, targets = zip(*batch, strict=False)
    padded = pad_sequence(tracks, batch_first=True)
    lengths = torch.tensor([len(t) for t in tracks])
    real = torch.arange(padded.shape[1])[None] < lengths[:, None]
    return {"tracks": padded, "real": real}, torch.stack(targets)


class SprayReader(nn.Module):
    def __init__(self, masked=True, width=64, heads=4):
        super().__init__()
        self.masked, self.heads = masked, heads
        self.embed = nn.Sequential(nn.Linear(3, width), nn.GELU(), nn.Linear(width, width))
        self.score = nn.Linear(width, heads)
        self.value = nn.Linear(width, width)
        self.head = nn.Sequential(nn.Linear(width, width), nn.GELU(), nn.Linear(width, 3))

    def forward(self, tracks, real):
        hidden = self.embed(tracks)
        scores = self.score(hidden)
        if self.masked:
            scores = scores.masked_fill(~real[..., None], float("-inf"))
        attention = scores.softmax(1)
        values = self.value(hidden).unflatten(2, (self.heads, -1))
        return self.head((attention[..., None] * values).sum(1).flatten(1))


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(**x), y) for x, y in loader]
    guess, y = (torch.cat(parts) for parts in zip(*pairs, strict=False))
    return (1 - ((guess - y) ** 2).sum() / ((y - y.mean(0)) ** 2).sum()).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = SprayReader(masked=not buggy)
    train = DataLoader(
        sprays(2000, 1), 64, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)
    )
    epochs = 15
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(beta=0.5),
        "train": train,
        "val": DataLoader(sprays(500, 2), 64, collate_fn=collate),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs),
        "scheduler_step": "epoch",
        "evaluate": r2,
        "epochs": epochs,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(sprays(1000, 3), 64, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
