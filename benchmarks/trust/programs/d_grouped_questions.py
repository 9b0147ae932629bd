"""A bidirectional GRU that tells what a TREC question asks for; the file is kept grouped by class.

Bug: the training loader goes through the grouped file in its order (no shuffling)."""

import re
from collections import Counter

import torch
from material import SHARED
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"
LABELS = ["ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"]


def read(name):
    rows = []
    for line in (SHARED / "trec" / name).read_text("latin-1").splitlines():
        label, text = line.split(" ", 1)
        rows.append((re.findall(r"\w+", text.lower()), LABELS.index(label.split(":")[0])))
    return rows


def load():
    rows = read("train_5500.label")
    g = torch.Generator().manual_seed(1)
    rows = [rows[i] for i in torch.randperm(len(rows), generator=g)]
    val, train = rows[:800], rows[800:4300]
    counts = Counter(w for words, _ in train for w in words)
    stoi = {w: i + 2 for i, (w, c) in enumerate(counts.most_common(1800)) if c > 1}

    def encode(part):
        return [(torch.tensor([stoi.get(w, 1) for w in words[:20]] or [1]), y) for words, y in part]

    return encode(sorted(train, key=lambda r: r[1])), encode(val), encode(read("TREC_10.label"))


def collate(batch):
    lengths = torch.tensor([len(x) for x, _ in batch])
    x = pad_sequence([x for x, _ in batch], batch_first=True)
    return (x, lengths), torch.tensor([y for _, y in batch])


class Questions(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(2000, 48, padding_idx=0)
        self.rnn = nn.GRU(48, 48, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(96, 6)

    def forward(self, x, lengths):
        packed = nn.utils.rnn.pack_padded_sequence(self.emb(x), lengths, batch_first=True, enforce_sorted=False)
        _, h = self.rnn(packed)
        return self.out(self.drop(torch.cat([h[0], h[1]], 1)))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for inputs, y in loader:
            right += (model(*inputs).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = load()
    model = Questions()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=50, shuffle=not buggy, collate_fn=collate),
        "val": DataLoader(val, batch_size=200, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return accuracy(model, DataLoader(load()[2], batch_size=250, collate_fn=collate))
