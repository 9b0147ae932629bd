"""Keyword spotter for a voice-dial prototype: log spectra of spoken digits, trimmed, packed and read by a GRU.

Bug: the collate function sorts the clips by length for packing, but leaves their labels in the old order.
"""

import material
import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_sequence
from torch.utils.data import DataLoader, Dataset

BUG = "label-misaligned"
ALSO = ("label-noise",)
HIGHER = "truth"
FLOOR = -13.8


class Clips(Dataset):
    """Clips without the silence after their end."""

    def __init__(self, rows, mean, std):
        self.labels = rows.y
        self.clips = []
        for clip in rows.x:
            voiced = (clip.amax(1) > FLOOR).nonzero()
            last = int(voiced[-1]) + 1 if len(voiced) else 1
            self.clips.append((clip[:last] - mean) / std)

    def __len__(self):
        return len(self.clips)

    def __getitem__(self, index):
        return self.clips[index], self.labels[index]


class Collate:
    def __init__(self, sort_labels):
        self.sort_labels = sort_labels

    def __call__(self, batch):
        clips, labels = zip(*batch, strict=True)
        labels = torch.stack(labels)
        lengths = torch.tensor([len(clip) for clip in clips])
        lengths, order = lengths.sort(descending=True)
        padded = pad_sequence([clips[i] for i in order.tolist()], batch_first=True)
        if self.sort_labels:
            labels = labels[order]
        return (padded, lengths), labels


class Spotter(nn.Module):
    def __init__(self, bands=43, hidden=64, classes=10):
        super().__init__()
        self.front = nn.Sequential(nn.Linear(bands, 48), nn.ReLU())
        self.gru = nn.GRU(48, hidden, batch_first=True, bidirectional=True)
        self.head = nn.Linear(2 * hidden, classes)

    def forward(self, frames, lengths):
        packed = pack_padded_sequence(self.front(frames), lengths.cpu(), batch_first=True)
        _, last = self.gru(packed)
        return self.head(torch.cat([last[0], last[1]], dim=1))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for inputs, labels in loader:
            right += (model(*inputs).argmax(1) == labels).sum().item()
            total += len(labels)
    return right / total


def _statistics(parts):
    voiced = parts.train.x[parts.train.x.amax(2) > FLOOR]
    return voiced.mean(0), voiced.std(0)


def build(buggy, seed=0):
    parts = material.fsdd()
    mean, std = _statistics(parts)
    torch.manual_seed(seed)
    model = Spotter()
    collate = Collate(sort_labels=not buggy)
    order = torch.Generator().manual_seed(seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            Clips(parts.train, mean, std), batch_size=32, shuffle=True, collate_fn=collate, generator=order
        ),
        "val": DataLoader(Clips(parts.val, mean, std), batch_size=100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    parts = material.fsdd()
    mean, std = _statistics(parts)
    return accuracy(model, DataLoader(Clips(parts.test, mean, std), batch_size=100, collate_fn=Collate(True)))


def setup():
    return build(True)


def fixed():
    return build(False)
