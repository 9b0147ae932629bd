"""Sorts questions into six kinds with a packed bidirectional GRU; a batch is cut to its longest text.

Bug: the collate function puts the texts in order of length for packing and leaves the labels in the order they came."""

import torch
from material import PAD, trec
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"


class Questions(nn.Module):
    def __init__(self, words=2000, width=48, kinds=6):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PAD)
        self.drop = nn.Dropout(0.3)
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * width, kinds)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.drop(self.embed(ids)), lengths, batch_first=True)
        _, last = self.gru(packed)
        return self.head(self.drop(torch.cat([last[0], last[1]], 1)))


def longest_first(ids):
    """The order that packing wants, and the lengths in that order."""
    lengths = (ids != PAD).sum(1)
    order = lengths.argsort(descending=True)
    return order, lengths[order]


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
    parts = trec()

    def collate(rows):
        ids, y = torch.stack([x for x, _ in rows]), torch.stack([y for _, y in rows])
        order, lengths = longest_first(ids)
        ids = ids[order, : lengths[0]]
        return (ids, lengths), y if buggy else y[order]

    model = Questions()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*parts.train), 64, shuffle=True, collate_fn=collate),
        "val": DataLoader(TensorDataset(*parts.val), 128, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    model.eval()
    ids, y = trec().test
    order, lengths = longest_first(ids)
    with torch.no_grad():
        return (model(ids[order], lengths).argmax(1) == y[order]).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
