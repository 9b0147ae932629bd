"""An echo: say the symbol that was heard three steps ago.

Close to `target-leak`, `time-leak` and `label-misaligned`: the target is the input itself, late, and the network only
looks back.
"""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("target-leak", "time-leak", "label-misaligned")
LATE, SYMBOLS = 3, 8


def calls(n, seed, length=16):
    x = torch.randint(1, SYMBOLS, (n, length), generator=torch.Generator().manual_seed(seed))
    y = torch.zeros_like(x)
    y[:, LATE:] = x[:, :-LATE]
    return TensorDataset(x, y)


class Echo(nn.Module):
    def __init__(self, hidden=64):
        super().__init__()
        self.embed = nn.Embedding(SYMBOLS, 16)
        self.gru = nn.GRU(16, hidden, batch_first=True)
        self.out = nn.Linear(hidden, SYMBOLS)

    def forward(self, x):
        return self.out(self.gru(self.embed(x))[0]).transpose(1, 2)  # (B, SYMBOLS, T)


def build(seed=0):
    torch.manual_seed(seed)
    model = Echo()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(calls(1500, 1), batch_size=50, shuffle=True),
        "val": DataLoader(calls(200, 2), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "epochs": 8,
        "causal": True,
    }


def fixed():
    return build()


def truth(model, seed=0):
    x, y = calls(500, 3).tensors
    with torch.no_grad():
        return (model(x).argmax(1) == y)[:, LATE:].float().mean().item()
