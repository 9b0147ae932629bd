"""Tells how deeply strings of brackets are nested with a packed GRU; batches hold strings of like length (bucketing).

Near: unshuffled, since rows lie sorted by length and the loader has no shuffle=True (a batch sampler draws buckets in a new
order, and rows anew within small ranges); padding-leak, since batches are padded (states are packed)."""

import random

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Sampler

BUG = None
NEAR = ("unshuffled", "padding-leak", "constant-input", "batch-mixing")
OPEN, CLOSE = 1, 2


def brackets(count, seed):
    """Pairs of a string of 1 and 2, balanced, of 4 to 24 signs, and its greatest depth; sorted by length."""
    rng, rows = random.Random(seed), []
    for _ in range(count):
        pairs, depth, most, signs = rng.randint(2, 12), 0, 0, []
        opened, eager = 0, rng.uniform(0.35, 0.85)
        while len(signs) < 2 * pairs:
            if depth == 0 or (opened < pairs and rng.random() < eager):
                signs.append(OPEN)
                opened, depth = opened + 1, depth + 1
            else:
                signs.append(CLOSE)
                depth -= 1
            most = max(most, depth)
        rows.append((torch.tensor(signs), float(most)))
    return sorted(rows, key=lambda row: len(row[0]))


class Buckets(Sampler):
    """Batches of rows of like length: rows are jittered by a noise of two signs, and the batches come in random order."""

    def __init__(self, lengths, size, seed):
        self.lengths, self.size, self.random = lengths, size, random.Random(seed)

    def __len__(self):
        return -(-len(self.lengths) // self.size)

    def __iter__(self):
        keys = [length + self.random.uniform(0, 2) for length in self.lengths]
        order = sorted(range(len(keys)), key=keys.__getitem__)
        batches = [order[begin : begin + self.size] for begin in range(0, len(order), self.size)]
        self.random.shuffle(batches)
        yield from batches


def collate(rows):
    signs, depths = zip(*rows, strict=True)
    return (pad_sequence(signs, batch_first=True), torch.tensor([len(s) for s in signs])), torch.tensor(depths)


class Depth(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.sign = nn.Embedding(3, 8, padding_idx=0)
        self.gru = nn.GRU(8, width, batch_first=True)
        self.head = nn.Linear(width, 1)

    def forward(self, signs, lengths):
        packed = pack_padded_sequence(self.sign(signs), lengths, batch_first=True, enforce_sorted=False)
        return self.head(self.gru(packed)[1][-1]).squeeze(1)


@torch.no_grad()
def r2(model, loader):
    model.eval()
    said, depth = (torch.cat(part) for part in zip(*((model(*x), y) for x, y in loader), strict=True))
    return 1 - ((said - depth).square().mean() / depth.var()).item()


def build(seed=0):
    torch.manual_seed(seed)
    rows, model = brackets(1500, 1), Depth()
    return {
        "model": model,
        "loss": nn.SmoothL1Loss(),
        "train": DataLoader(rows, batch_sampler=Buckets([len(s) for s, _ in rows], 25, seed), collate_fn=collate),
        "val": DataLoader(brackets(300, 2), batch_size=100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": r2,
        "epochs": 12,
    }


def truth(model, seed=0):
    return r2(model, DataLoader(brackets(600, 3), batch_size=200, collate_fn=collate))


def fixed():
    return build()
