"""Adds up the flagged numbers of a sequence by a GRU; training streams short sequences first and longer ones later.

Near: batches come in order of length and nothing shuffles them; each row is drawn anew from a seeded stream, so it is a
curriculum, not an unshuffled file. Batches differ in length from validation at first. Gradient norms are clipped."""

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset

BUG = None
NEAR = ("unshuffled", "train-val-mismatch", "worker-seeds", "loss-clipped")
LONGEST = 20


def sums(rows, length, g):
    numbers = 2 * torch.rand(rows, length, generator=g) - 1
    flags = (torch.rand(rows, length, generator=g) < 0.3).float()
    return torch.stack([numbers, flags], 2), (numbers * flags).sum(1)


class Curriculum(IterableDataset):
    """Batches of 64 rows, from length 5 up to LONGEST at first; an epoch goes on where the last ended."""

    def __init__(self, seed, batches=60, growing=300):
        self.generator = torch.Generator().manual_seed(seed)
        self.batches, self.growing, self.drawn = batches, growing, 0

    def __iter__(self):
        for _ in range(self.batches):
            length = min(LONGEST, 5 + (LONGEST - 5) * self.drawn // self.growing)
            self.drawn += 1
            yield sums(64, length, self.generator)

    def __len__(self):
        return self.batches


class Adder(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.reader, self.out = nn.GRU(2, width, batch_first=True), nn.Linear(width, 1)

    def forward(self, x):
        return self.out(self.reader(x)[0][:, -1]).squeeze(1)


def step(model, batch, optimizer):
    model.train()
    optimizer.zero_grad()
    loss = nn.functional.mse_loss(model(batch[0]), batch[1])
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return loss.detach()


def build(seed=0):
    torch.manual_seed(seed)
    model = Adder()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Curriculum(1000 + seed), batch_size=None),
        "val": [sums(300, LONGEST, torch.Generator().manual_seed(1))],
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "train_step": step,
        "evaluate": r2,
        "epochs": 10,
    }


@torch.no_grad()
def r2(model, loader):
    model.eval()
    pairs = [(model(x), wanted) for x, wanted in loader]
    guess, wanted = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((guess - wanted) ** 2).mean().item() / wanted.var(correction=0).item()


def truth(model, seed=0):
    return r2(model, [sums(1000, LONGEST, torch.Generator().manual_seed(2))])


def fixed():
    return build()
