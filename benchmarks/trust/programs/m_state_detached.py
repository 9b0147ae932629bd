"""Which symbol follows the marker? The state of a hand-made recurrent cell is detached at each step."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"
LENGTH, SYMBOLS = 14, 6


def sequences(rows, seed):
    """Symbols (N, 14) whose answer is the symbol that follows the only 0, a marker somewhere in the first half."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randint(1, SYMBOLS, (rows, LENGTH), generator=g)
    at = torch.randint(0, LENGTH // 2, (rows,), generator=g)
    x[torch.arange(rows), at] = 0
    return x, x[torch.arange(rows), at + 1] - 1


class Cell(nn.Module):
    """A gated cell: h' = (1 - z) h + z n."""

    def __init__(self, inward, hidden):
        super().__init__()
        self.gate = nn.Linear(inward + hidden, hidden)
        self.new = nn.Linear(inward + hidden, hidden)

    def forward(self, x, h):
        both = torch.cat([x, h], dim=1)
        z = torch.sigmoid(self.gate(both))
        return (1 - z) * h + z * torch.tanh(self.new(both))


class Listener(nn.Module):
    def __init__(self, hidden=48, detach=False):
        super().__init__()
        self.symbols = nn.Embedding(SYMBOLS, 12)
        self.cell = Cell(12, hidden)
        self.out = nn.Linear(hidden, SYMBOLS - 1)
        self.hidden, self.detach = hidden, detach

    def forward(self, ids):
        h = torch.zeros(len(ids), self.hidden)
        for x in self.symbols(ids).unbind(1):
            if self.detach:
                h = h.detach()
            h = self.cell(x, h)
        return self.out(h)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Listener(detach=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*sequences(3000, 1)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*sequences(500, 2)), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 10,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    x, y = sequences(2000, 3)
    return (model(x).argmax(1) == y).float().mean().item()
