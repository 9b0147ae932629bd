"""Tells English, German and French captions by hashed letter trigrams, with a decaying learning rate.

Bug: the decay meant for epochs is stepped at every batch, so that the rate is gone after a few dozen batches."""

import gzip
import zlib

import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
TONGUES = ("en", "de", "fr")
BUCKETS = 4096


def fragments(part, start, count):
    """Pieces of 14 letters from the middle of captions, and their language."""
    rows = []
    for label, tongue in enumerate(TONGUES):
        lines = gzip.decompress((SHARED / "multi30k" / f"{part}.{tongue}.gz").read_bytes()).decode().splitlines()
        for line in lines[start : start + count]:
            middle = max(0, len(line) // 2 - 7)
            rows.append((line[middle : middle + 14].lower(), label))
    return rows


def collate(rows):
    ids = [torch.tensor([zlib.crc32(f" {t} "[i : i + 3].encode()) % BUCKETS for i in range(len(t))]) for t, _ in rows]
    lengths = torch.tensor([0] + [len(i) for i in ids])
    return {"ids": torch.cat(ids), "offsets": lengths.cumsum(0)[:-1]}, torch.tensor([label for _, label in rows])


class Tongue(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.bag = nn.EmbeddingBag(BUCKETS, width, mode="mean")
        nn.init.normal_(self.bag.weight, std=0.1)
        self.net = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 32), nn.ReLU(), nn.Linear(32, len(TONGUES)))

    def forward(self, ids, offsets):
        return self.net(self.bag(ids, offsets))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = [(model(**x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(right).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Tongue()
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(fragments("train", 0, 1500), 64, shuffle=True, collate_fn=collate),
        "val": DataLoader(fragments("val", 0, 300), 150, collate_fn=collate),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.8),
        "scheduler_step": "batch" if buggy else "epoch",
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(fragments("test_2016_flickr", 0, 1000), 500, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
