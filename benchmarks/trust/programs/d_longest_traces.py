"""How many pulses does a detector trace hold? Traces of 10 to 60 samples, convolution and a masked sum.

Bug: validation is sorted by length to save padding, and its loader drops the last batch: the longest traces."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"


def traces(rows, seed):
    g = torch.Generator().manual_seed(seed)
    length = torch.randint(10, 61, (rows,), generator=g)
    hit = (torch.rand(rows, 60, generator=g) < 0.14) & (torch.arange(60) < length[:, None])
    hit[:, 1:] &= ~hit[:, :-1].clone()
    clean = hit * (0.8 + 0.6 * torch.rand(rows, 60, generator=g))
    clean[:, 1:] += 0.5 * clean[:, :-1].clone()
    noisy = clean + 0.2 * torch.randn(rows, 60, generator=g)
    counts = hit.sum(1).clamp_max(9).tolist()
    return [(trace[:end, None], count) for trace, end, count in zip(noisy, length.tolist(), counts, strict=False)]


def collate(rows):
    traces, counts = zip(*rows, strict=False)
    return (pad_sequence(traces, batch_first=True), torch.tensor([len(t) for t in traces])), torch.tensor(counts)


class Counter(nn.Module):
    def __init__(self):
        super().__init__()
        self.look = nn.Sequential(
            nn.Conv1d(1, 24, 5, padding=2),
            nn.ReLU(),
            nn.Conv1d(24, 24, 3, padding=1),
            nn.ReLU(),
            nn.Conv1d(24, 6, 1),
            nn.Sigmoid(),
        )
        self.out = nn.Sequential(nn.Linear(6, 48), nn.ReLU(), nn.Linear(48, 10))

    def forward(self, x, lengths):
        there = torch.arange(x.shape[1]) < lengths[:, None]
        found = self.look(x.mT) * there[:, None]
        return self.out(found.sum(2))


def exact(model, loader):
    model.eval()
    right = seen = 0
    with torch.no_grad():
        for inputs, y in loader:
            right += (model(*inputs).argmax(1) == y).sum().item()
            seen += len(y)
    return right / seen


def build(buggy, seed=0):
    torch.manual_seed(seed)
    val = sorted(traces(383, 802), key=lambda row: len(row[0]))
    model = Counter()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(traces(1500, 801), batch_size=50, shuffle=True, collate_fn=collate),
        "val": DataLoader(val, batch_size=128, collate_fn=collate, drop_last=buggy),
        "optimizer": optimizer,
        "evaluate": exact,
        "epochs": 16,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return exact(model, DataLoader(traces(1500, 803), batch_size=250, collate_fn=collate))
