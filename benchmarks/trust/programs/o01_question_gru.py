"""Sorts questions by what they ask for with a packed GRU; the collate function orders a batch by length for packing.

Bug: the batch's sentences are reordered by length, their labels are not."""

import material
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"


class QuestionNet(nn.Module):
    def __init__(self, words=2000, width=48, classes=6):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=material.PAD)
        self.gru = nn.GRU(width, width, batch_first=True, bidirectional=True)
        self.drop = nn.Dropout(0.2)
        self.out = nn.Linear(2 * width, classes)

    def forward(self, ids):
        lengths = (ids != material.PAD).sum(1).clamp(min=1)
        packed = pack_padded_sequence(self.embed(ids), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed)
        return self.out(self.drop(torch.cat([last[0], last[1]], dim=1)))


def collate_sorted(labels_too):
    """Longest sentence first, padded to the batch's longest."""

    def collate(rows):
        sentences = [ids[ids != material.PAD] for ids, _ in rows]
        labels = [label for _, label in rows]
        order = sorted(range(len(rows)), key=lambda row: -len(sentences[row]))
        sentences = [sentences[row] for row in order]
        if labels_too:
            labels = [labels[row] for row in order]
        return pad_sequence(sentences, batch_first=True, padding_value=material.PAD), torch.stack(labels)

    return collate


def accuracy(model, loader):
    model.eval()
    right = rows = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.trec()
    collate = collate_sorted(labels_too=not buggy)
    train = DataLoader(
        list(zip(parts.train.x, parts.train.y, strict=False)),
        64,
        shuffle=True,
        collate_fn=collate,
        generator=torch.Generator().manual_seed(seed),
    )
    val = DataLoader(list(zip(parts.val.x, parts.val.y, strict=False)), 256, collate_fn=collate)
    model = QuestionNet()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train,
        "val": val,
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 4,
    }


def truth(model, seed=0):
    test = material.trec().test
    return accuracy(model, [(test.x, test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
