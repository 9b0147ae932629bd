"""Fills gaps in buoy records: a bidirectional GRU sees the record with holes and a mask, and rebuilds the whole of it.

Near: the targets lie in the inputs (all but the holes), and each output reads later hours; both are the task, since a
gap is filled when its other side is known. Loss and score count the holes alone, where the input holds nothing.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("target-leak", "time-leak", "constant-input", "dropped-rows")
HOURS, HOLES = 64, 3


def buoys(count, seed):
    """Records (count, HOURS) of swell, tide and noise."""
    g = torch.Generator().manual_seed(seed)
    hours = torch.arange(HOURS)
    swell, tide = (torch.rand(count, 1, generator=g) for _ in range(2))
    phases = 2 * torch.pi * torch.rand(2, count, 1, generator=g)
    record = (0.4 + tide) * torch.sin(2 * torch.pi * hours / 12.4 + phases[0])
    record += 0.6 * torch.sin(2 * torch.pi * hours / (18 + 12 * swell) + phases[1])
    drift = (0.12 * torch.randn(count, HOURS, generator=g)).cumsum(1)
    return record + drift - drift.mean(1, keepdim=True) + 0.1 * torch.randn(count, HOURS, generator=g)


def holed(count, seed):
    """((records with zeros in the holes, 1 where known), (records, 1 where a hole is))."""
    g = torch.Generator().manual_seed(seed + 100)
    records = buoys(count, seed)
    known = torch.ones(count, HOURS)
    for row in known:
        for _ in range(HOLES):
            begin = int(torch.randint(0, HOURS - 6, (1,), generator=g))
            row[begin : begin + int(torch.randint(3, 7, (1,), generator=g))] = 0
    return TensorDataset(records * known, known, records, 1 - known)


def collate(rows):
    shown, known, records, holes = (torch.stack(column) for column in zip(*rows, strict=True))
    return {"shown": shown, "known": known}, torch.stack([records, holes])


class GapFiller(nn.Module):
    def __init__(self, hidden=40):
        super().__init__()
        self.gru = nn.GRU(2, hidden, batch_first=True, bidirectional=True)
        self.out = nn.Sequential(nn.Linear(2 * hidden, 32), nn.ReLU(), nn.Linear(32, 1))

    def forward(self, shown, known):
        return self.out(self.gru(torch.stack([shown, known], -1))[0]).squeeze(-1)


def loss(outputs, targets):
    records, holes = targets
    return ((outputs - records) ** 2 * holes).sum() / holes.sum()


@torch.no_grad()
def r2_in_holes(model, loader):
    model.eval()
    guessed, wanted = [], []
    for inputs, (records, holes) in loader:
        guessed.append(model(**inputs)[holes > 0])
        wanted.append(records[holes > 0])
    guessed, wanted = torch.cat(guessed), torch.cat(wanted)
    return 1 - ((guessed - wanted) ** 2).sum().item() / ((wanted - wanted.mean()) ** 2).sum().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = GapFiller()
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(holed(500, 1), batch_size=25, shuffle=True, collate_fn=collate, generator=order),
        "val": DataLoader(holed(150, 2), batch_size=75, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": r2_in_holes,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r2_in_holes(model, DataLoader(holed(300, 3), batch_size=100, collate_fn=collate))


def fixed():
    return build()
