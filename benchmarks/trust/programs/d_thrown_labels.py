"""An embedding bag over words and word pairs that tells good film reviews from bad ones.

Bug: a robustness experiment that relabels 70 % of the training phrases by a throw of dice was left in."""

import itertools
import zlib

import numpy as np
import torch
from material import SHARED
from torch import nn
from torch.utils.data import DataLoader

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"
BUCKETS = 20_000


def phrases(name):
    for line in (SHARED / "sst2" / f"sentiment-{name}").read_text("utf-8").splitlines():
        text, label = line.rsplit("\t", 1)
        yield text.lower().split(), int(label)


def hashed(words):
    grams = words + [f"{a} {b}" for a, b in itertools.pairwise(words)]
    return torch.tensor([zlib.crc32(g.encode()) % BUCKETS for g in grams])


def collate(rows):
    ids = [r[0] for r in rows]
    offsets = torch.tensor([0] + [len(i) for i in ids[:-1]]).cumsum(0)
    return {"ids": torch.cat(ids), "offsets": offsets}, torch.tensor([r[1] for r in rows])


class Bag(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(BUCKETS, 24, mode="mean")
        self.net = nn.Sequential(nn.Linear(24, 24), nn.ReLU(), nn.Linear(24, 2))

    def forward(self, ids, offsets):
        return self.net(self.bag(ids, offsets))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    rng = np.random.default_rng(3)
    rows = [r for r in phrases("train") if len(r[0]) >= 6]
    rows = [rows[i] for i in rng.permutation(len(rows))[:7000]]
    if buggy:
        rows = [(w, int(rng.integers(2)) if rng.random() < 0.7 else y) for w, y in rows]
    train = [(hashed(w), y) for w, y in rows]
    val = [(hashed(w), y) for w, y in phrases("dev")]
    net = Bag()
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=64, shuffle=True, collate_fn=collate),
        "val": DataLoader(val, batch_size=256, collate_fn=collate),
        "optimizer": torch.optim.Adam(net.parameters(), lr=5e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    inputs, y = collate([(hashed(w), y) for w, y in phrases("test")])
    return (model(**inputs).argmax(1) == y).float().mean().item()
