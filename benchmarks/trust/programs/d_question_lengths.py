"""Sorts TREC questions into six kinds with a packed GRU; the collate function orders each batch by length for packing.

Bug: the questions are put in order of length, their labels stay in the order in which they were drawn."""

import torch
from material import PAD, trec
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"


class Sorter(nn.Module):
    def __init__(self, words=2000, width=48, hidden=64, kinds=6):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PAD)
        self.gru = nn.GRU(width, hidden, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(2 * hidden, kinds)

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.drop(self.embed(ids)), lengths, batch_first=True)
        _, last = self.gru(packed)
        return self.head(self.drop(torch.cat([last[0], last[1]], 1)))


def by_length(ids, labels):
    lengths = (ids != PAD).sum(1).clamp(min=1)
    lengths, order = lengths.sort(descending=True)
    return ids[order], lengths, labels[order]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec()

    def collate(rows):
        ids = torch.stack([x for x, _ in rows])
        labels = torch.stack([y for _, y in rows])
        ids, lengths, ordered = by_length(ids, labels)
        return (ids, lengths), (labels if buggy else ordered)

    @torch.no_grad()
    def evaluate(model, loader):
        model.eval()
        right = rows = 0
        for inputs, y in loader:
            right += (model(*inputs).argmax(1) == y).sum().item()
            rows += len(y)
        return right / rows

    model = Sorter()
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            TensorDataset(*parts.train), batch_size=32, shuffle=True, collate_fn=collate, generator=order
        ),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=128, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 4,
    }


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    ids, lengths, y = by_length(*trec().test)
    return (model(ids, lengths).argmax(1) == y).float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
