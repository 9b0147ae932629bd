"""Where a walker ends, from strides and a noisy compass: a network of each step, summed; judged by ends found within 1 m.

Bug: the validation rows lie by length, and their loader drops the last, incomplete batch: the longest and hardest walks."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"


def walks(rows, seed):
    """A list of (steps (T, 3) of stride, cosine and sine of the compass, end (2,) in metres), T from 6 to 60."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(rows):
        length = int(torch.randint(6, 61, (), generator=g))
        heading = 6.2832 * torch.rand((), generator=g) + 0.25 * torch.randn(length, generator=g).cumsum(0)
        stride = 0.5 + 0.4 * torch.rand(length, generator=g)
        end = torch.stack([(stride * heading.cos()).sum(), (stride * heading.sin()).sum()])
        compass = heading + 0.15 * torch.randn(length, generator=g)
        found.append((torch.stack([stride, compass.cos(), compass.sin()], dim=1), end))
    return found


def collate(batch):
    steps, ends = zip(*batch, strict=True)
    lengths = torch.tensor([len(walk) for walk in steps])
    return (pad_sequence(steps, batch_first=True), lengths), torch.stack(ends)


class Walker(nn.Module):
    def __init__(self):
        super().__init__()
        self.step = nn.Sequential(nn.Linear(3, 32), nn.Tanh(), nn.Linear(32, 2))

    def forward(self, steps, lengths):
        there = torch.arange(steps.shape[1]) < lengths[:, None]
        return (self.step(steps) * there[:, :, None]).sum(1)


def within_a_metre(model, loader):
    model.eval()
    near = []
    with torch.no_grad():
        for inputs, ends in loader:
            near.append((model(*inputs) - ends).norm(dim=1) < 1)
    return torch.cat(near).float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Walker()
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    val = sorted(walks(1000, 2), key=lambda walk: len(walk[0]))  # walks of like length need little padding
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(walks(1000, 1), batch_size=32, shuffle=True, collate_fn=collate),
        "val": DataLoader(val, batch_size=256, collate_fn=collate, drop_last=buggy),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 20),
        "scheduler_step": "epoch",
        "evaluate": within_a_metre,
        "epochs": 20,
    }


def truth(model, seed=0):
    return within_a_metre(model, DataLoader(walks(3000, 3), batch_size=250, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
