"""Level of the lower of two tanks from the pump's drive, over a long recording, learned in chunks by a GRU.

Near: the chunks come in the order of time and the hidden state goes on from one to the next, cut from the graph:
truncated back-propagation through time, on 16 recordings side by side."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "unshuffled", "batch-mixing", "time-leak")
LONG, CHUNK = 800, 40


def tanks(rows, long, seed):
    """The pump's drive and the lower level, both (rows, long, 1); the drive holds for a while and then jumps."""
    g = torch.Generator().manual_seed(seed)
    jumps = (torch.rand(rows, long, generator=g) < 0.08).long().cumsum(1)
    drive = torch.rand(rows, long, generator=g).gather(1, jumps.clamp_max(long - 1))
    upper, lower, levels = torch.full((rows,), 0.3), torch.full((rows,), 0.3), []
    for step in range(long):
        flow, out = 0.30 * upper.sqrt(), 0.25 * lower.sqrt()
        upper = (upper + 0.25 * drive[:, step] - flow).clamp(0.001, 2.0)
        lower = (lower + flow - out).clamp(0.001, 3.0)
        levels.append(lower)
    level = torch.stack(levels, dim=1)
    return drive[:, :, None], (level + 0.01 * torch.randn(rows, long, generator=g))[:, :, None]


class Tanks(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.gru = nn.GRU(1, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, drive, hidden=None):
        return self.run(drive, hidden)[0]

    def run(self, drive, hidden=None):
        seen, hidden = self.gru(2 * drive - 1, hidden)
        return self.head(seen), hidden


class Chunks:
    """The recordings' chunks in the order of time; `hidden` is what the last chunk left, None where they begin."""

    def __init__(self, drive, level):
        self.pairs = list(zip(drive.split(CHUNK, 1), level.split(CHUNK, 1), strict=True))
        self.hidden = None

    def __len__(self):
        return len(self.pairs)

    def __iter__(self):
        self.hidden = None
        yield from self.pairs


def r2(model, loader):
    model.eval()
    with torch.no_grad():
        found, y = zip(*[(model(x), y) for x, y in loader], strict=True)
    found, y = torch.cat(found), torch.cat(y)
    return 1 - ((found - y).square().sum() / (y - y.mean()).square().sum()).item()


def build(seed=0):
    torch.manual_seed(seed)
    model, loss = Tanks(), nn.MSELoss()
    chunks = Chunks(*tanks(16, LONG, 1))

    def train_step(model, batch, optimizer):
        model.train()
        drive, level = batch
        optimizer.zero_grad()
        found, hidden = model.run(drive, chunks.hidden)
        chunks.hidden = hidden.detach()
        value = loss(found, level)
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        return value

    return {
        "model": model,
        "loss": loss,
        "train": chunks,
        "val": DataLoader(TensorDataset(*tanks(6, 300, 2)), batch_size=6),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "train_step": train_step,
        "evaluate": r2,
        "epochs": 12,
        "causal": True,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(TensorDataset(*tanks(12, 300, 3)), batch_size=12))


def fixed():
    return build()
