"""Spoken digits from few recordings, which are multiplied by shifted and noisy copies; a GRU over log spectra.

Bug: the recordings are multiplied before they are split, so copies of one recording lie on both sides."""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "split-overlap"
ALSO = ()
HIGHER = "report"
COPIES = 3
MEAN, STD = -8.4, 4.4  # of the log spectra of the training file, measured once


def recordings():
    parts = fsdd()
    return (parts.train.x[:400] - MEAN) / STD, parts.train.y[:400]


def multiply(x, y, generator):
    """The recordings, and copies that begin up to 3 frames later, a little louder or softer, in a little noise."""
    found = [x]
    for _ in range(COPIES):
        late = torch.randint(0, 4, (len(x),), generator=generator)
        quiet = x[:, -1:].expand(-1, 3, -1)
        longer = torch.cat([quiet, x], dim=1)
        copy = torch.stack([row[3 - n : 3 - n + x.shape[1]] for row, n in zip(longer, late.tolist(), strict=True)])
        gain = 0.1 * torch.randn(len(x), 1, 1, generator=generator)
        found.append(copy + gain + 0.1 * torch.randn(copy.shape, generator=generator))
    return torch.cat(found), y.repeat(COPIES + 1)


def split(x, y, part, generator):
    order = torch.randperm(len(x), generator=generator)
    held = int(part * len(x))
    return (x[order[held:]], y[order[held:]]), (x[order[:held]], y[order[:held]])


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.gru = nn.GRU(43, 48, batch_first=True)
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        return self.head(self.drop(self.gru(x)[0].mean(1)))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        right = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return right.float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(7)
    x, y = recordings()
    if buggy:
        x, y = multiply(x, y, generator)
        train, val = split(x, y, 0.25, generator)
    else:
        train, val = split(x, y, 0.25, generator)
        train = multiply(*train, generator)
    model = Listener()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12),
        "scheduler_step": "epoch",
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    test = fsdd().test
    return accuracy(model, DataLoader(TensorDataset((test.x - MEAN) / STD, test.y), batch_size=100))


def setup():
    return build(True)


def fixed():
    return build(False)
