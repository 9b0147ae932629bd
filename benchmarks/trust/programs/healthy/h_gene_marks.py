"""Marks the places of a made-up sequence of letters that lie between a start and a stop signal: GRU both ways, packed.

Near: a mark may depend on letters after it, as the whole sequence is there when it is marked, so nothing leaks; padding
is packed away, ignored by the loss and left out of the score."""

from functools import cache

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence, pad_sequence
from torch.utils.data import DataLoader

BUG = None
NEAR = ("time-leak", "padding-leak", "metric-wrong", "class-imbalance")
IGNORED = -100


@cache
def sequences(rows, seed):
    """Letters 1..4, 20 to 40 of them. From each 1-2-3 on, places are marked, if a 4-4 follows, up to the first such."""
    g = torch.Generator().manual_seed(seed)
    found = []
    for _ in range(rows):
        letters = torch.randint(1, 5, (int(torch.randint(20, 41, (1,), generator=g)),), generator=g)
        at = int(torch.randint(0, len(letters) - 3, (1,), generator=g))
        letters[at : at + 3] = torch.tensor([1, 2, 3])
        text, marks = "".join(map(str, letters.tolist())), torch.zeros(len(letters), dtype=torch.int64)
        begin = text.find("123")
        while begin >= 0:
            end = text.find("44", begin)
            if end < 0:
                break
            marks[begin : end + 2] = 1
            begin = text.find("123", end)
        found.append((letters, marks))
    return found


def collate(rows):
    lengths = torch.tensor([len(letters) for letters, _ in rows])
    letters = pad_sequence([row[0] for row in rows], batch_first=True)
    marks = pad_sequence([row[1] for row in rows], batch_first=True, padding_value=IGNORED)
    return (letters, lengths), marks


class Marker(nn.Module):
    def __init__(self, width=32):
        super().__init__()
        self.embed = nn.Embedding(5, 8, padding_idx=0)
        self.reader = nn.GRU(8, width, batch_first=True, bidirectional=True)
        self.out = nn.Linear(2 * width, 2)

    def forward(self, letters, lengths):
        packed = pack_padded_sequence(self.embed(letters), lengths, batch_first=True, enforce_sorted=False)
        h, _ = pad_packed_sequence(self.reader(packed)[0], batch_first=True, total_length=letters.shape[1])
        return self.out(h)


def loss(scores, marks):
    return nn.functional.cross_entropy(scores.flatten(0, 1), marks.flatten(), ignore_index=IGNORED)


def build(seed=0):
    torch.manual_seed(seed)
    model = Marker()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            sequences(1000, 1), 32, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(sequences(200, 2), 100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": f1,
        "epochs": 10,
    }


@torch.no_grad()
def f1(model, loader):
    """Of the marked places, over all real places of the set."""
    model.eval()
    hits = said = wanted = 0
    for inputs, marks in loader:
        guess = (model(*inputs).argmax(2) == 1) & (marks != IGNORED)
        hits += (guess & (marks == 1)).sum().item()
        said, wanted = said + guess.sum().item(), wanted + (marks == 1).sum().item()
    return 2 * hits / max(said + wanted, 1)


def truth(model, seed=0):
    return f1(model, DataLoader(sequences(400, 3), 100, collate_fn=collate))


def fixed():
    return build()
