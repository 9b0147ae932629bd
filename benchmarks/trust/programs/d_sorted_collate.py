"""What a question asks for (TREC), by a GRU over packed sequences; a collate function sorts each batch by length.

Bug: the collate function sorts the questions, but the labels stay in the order in which they came."""

import material
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

BUG = "label-misaligned"
ALSO = ()
HIGHER = "truth"


class Questions(Dataset):
    def __init__(self, rows):
        self.texts = [line[line != material.PAD] for line in rows.x]
        self.labels = rows.y

    def __len__(self):
        return len(self.texts)

    def __getitem__(self, row):
        return self.texts[row], self.labels[row]


def by_length(batch):
    """Longest first, as pack_padded_sequence wants it."""
    batch = sorted(batch, key=lambda item: len(item[0]), reverse=True)
    return pack(batch), torch.stack([label for _, label in batch])


def by_length_texts(batch):
    """Longest first, as pack_padded_sequence wants it."""
    labels = torch.stack([label for _, label in batch])
    batch = sorted(batch, key=lambda item: len(item[0]), reverse=True)
    return pack(batch), labels


def pack(batch):
    texts = [text for text, _ in batch]
    return pad_sequence(texts, batch_first=True), torch.tensor([len(text) for text in texts])


class Reader(nn.Module):
    def __init__(self, words=2000, size=48):
        super().__init__()
        self.embed = nn.Embedding(words, size, padding_idx=material.PAD)
        self.gru = nn.GRU(size, size, batch_first=True, bidirectional=True)
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(2 * size, 6))

    def forward(self, ids, lengths):
        packed = pack_padded_sequence(self.embed(ids), lengths, batch_first=True)
        _, last = self.gru(packed)
        return self.head(torch.cat([last[0], last[1]], 1))


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = [(model(*x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(hits).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.trec()
    collate = by_length_texts if buggy else by_length
    model = Reader()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Questions(parts.train), 32, shuffle=True, collate_fn=collate),
        "val": DataLoader(Questions(parts.val), 128, collate_fn=by_length),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": evaluate,
        "epochs": 4,
    }


def truth(model, seed=0):
    return evaluate(model, DataLoader(Questions(material.trec().test), 100, collate_fn=by_length))


def setup():
    return build(True)


def fixed():
    return build(False)
