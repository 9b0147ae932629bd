"""Sorts questions by what they ask for (TREC) with a bag of embeddings of words and word pairs; case is kept, names matter.

Bug: the training questions are lower-cased before they are encoded, those to be answered are not."""

import zlib
from itertools import pairwise

import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"
BUCKETS = 8192
KINDS = ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")


def questions(name):
    lines = (SHARED / "trec" / name).read_text("latin-1").splitlines()
    return [(line.split(" ", 1)[1], KINDS.index(line.split(":", 1)[0])) for line in lines]


def hashed(text):
    """Hashed ids of a question's words and pairs of words."""
    words = ["<s>", *text.split()]
    return [zlib.crc32(token.encode()) % BUCKETS for token in words[1:] + [f"{a} {b}" for a, b in pairwise(words)]]


def collate(rows):
    ids = [torch.tensor(hashed(text)) for text, _ in rows]
    offsets = torch.tensor([0] + [len(i) for i in ids[:-1]]).cumsum(0)
    return (torch.cat(ids), offsets), torch.tensor([kind for _, kind in rows])


class Sorter(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.EmbeddingBag(BUCKETS, 32, mode="mean")
        self.kind = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, 32), nn.ReLU(), nn.Linear(32, len(KINDS)))

    def forward(self, ids, offsets):
        return self.kind(self.words(ids, offsets))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(*x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    rows = questions("train_5500.label")
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
    train, val = [rows[i] for i in order[:4400]], [rows[i] for i in order[4400:]]
    if buggy:
        train = [(text.lower(), kind) for text, kind in train]
    model = Sorter()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 64, shuffle=True, collate_fn=collate),
        "val": DataLoader(val, 256, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(questions("TREC_10.label"), 250, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
