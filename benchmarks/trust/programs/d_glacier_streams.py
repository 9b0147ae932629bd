"""Types of ice seismicity (five) from 64-sample records read station by station through an IterableDataset; a BatchNorm CNN.

Bug: the stream is read in the archive's order, sorted by type, without the shuffle buffer."""

import torch
from torch import nn
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

BUG = "unshuffled"
ALSO = ()
HIGHER = "truth"

TYPES, SAMPLES = 5, 64


def records(count, seed):
    """Bursts of five types by frequency, sweep and decay, sorted by type as the archive's folders are."""
    g = torch.Generator().manual_seed(seed)
    kind = torch.arange(TYPES).repeat_interleave(count // TYPES)
    t = torch.linspace(0, 1, SAMPLES)[None]
    low = torch.tensor([4.0, 7.0, 11.0, 4.0, 7.0])[kind] * torch.exp(0.08 * torch.randn(len(kind), generator=g))
    sweep = torch.tensor([0.0, 0.0, 0.0, 5.0, 6.0])[kind] + 0.5 * torch.randn(len(kind), generator=g)
    onset = 0.3 * torch.rand(len(kind), 1, generator=g)
    phase = torch.rand(len(kind), 1, generator=g) * 6.28
    envelope = torch.exp(-4 * (t - onset).clamp(min=0)) * (t > onset)
    wave = envelope * torch.sin(2 * torch.pi * (low[:, None] * t + sweep[:, None] * t**2) + phase)
    return (wave + 0.15 * torch.randn(wave.shape, generator=g))[:, None], kind


class Archive(IterableDataset):
    """The records as they lie in the archive, through a shuffle buffer if one is asked for."""

    def __init__(self, records, kinds, buffer=0, seed=0):
        self.records, self.kinds, self.buffer = records, kinds, buffer
        self.generator = torch.Generator().manual_seed(seed)

    def __iter__(self):
        held = []
        for row in zip(self.records, self.kinds, strict=True):
            held.append(row)
            if len(held) > self.buffer:
                yield held.pop(int(torch.randint(len(held), (), generator=self.generator)))
        for place in torch.randperm(len(held), generator=self.generator).tolist():
            yield held[place]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv1d(1, 16, 7, stride=2, padding=3), nn.BatchNorm1d(16), nn.ReLU(),
            nn.Conv1d(16, 32, 5, stride=2, padding=2), nn.BatchNorm1d(32), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(32 * SAMPLES // 4, TYPES)

    def forward(self, record):
        return self.head(self.body(record).flatten(1))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for record, kind in loader:
            right += int((model(record).argmax(1) == kind).sum())
            total += len(kind)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Net()
    archive = Archive(*records(1500, 1), buffer=0 if buggy else 1500, seed=seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(archive, batch_size=50),
        "val": DataLoader(TensorDataset(*records(300, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*records(1000, 3)), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
