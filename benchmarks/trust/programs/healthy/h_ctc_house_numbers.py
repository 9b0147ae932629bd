"""Numbers of three scanned digits, read column by column with CTC.

Close to `dead-units`, `output-bias` and `input-ignored`: for the first epochs a CTC reader says nothing but blanks,
whatever it sees, before the peaks come.
"""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("input-ignored", "output-bias", "lr-too-low")


def numbers(rows, count, seed):
    """Three digits side by side, (N, 8, 24); classes 1..10, 0 is CTC's blank."""
    pick = torch.randint(len(rows.x), (count, 3), generator=torch.Generator().manual_seed(seed))
    x = (rows.x / 16).reshape(-1, 8, 8)[pick]  # (N, 3, 8, 8)
    return x.transpose(1, 2).reshape(count, 8, 24), rows.y[pick] + 1


class Reader(nn.Sequential):
    """(B, 8, W) -> log probabilities (B, W, 11)"""

    def __init__(self, width=64):
        super().__init__(
            nn.Conv1d(8, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv1d(width, width, 7, padding=3),
            nn.ReLU(),
            nn.Conv1d(width, 11, 1),
        )

    def forward(self, x):
        return super().forward(x).transpose(1, 2).log_softmax(2)


def ctc(logp, targets):
    widths = torch.full((len(logp),), logp.shape[1])
    lengths = torch.full((len(logp),), targets.shape[1])
    return nn.functional.ctc_loss(logp.transpose(0, 1), targets, widths, lengths)


@torch.no_grad()
def read(model, loader):
    """Part of numbers that are read without a mistake."""
    model.eval()
    right = total = 0
    for x, y in loader:
        for path, number in zip(model(x).argmax(2), y, strict=True):
            path = torch.unique_consecutive(path)
            right += path[path > 0].tolist() == number.tolist()
            total += 1
    return right / total


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    data = digits()
    model = Reader()
    return {
        "model": model,
        "loss": ctc,
        "train": DataLoader(TensorDataset(*numbers(data.train, 1500, 1)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*numbers(data.val, 200, 2)), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "evaluate": read,
        "epochs": 12,
    }


def fixed() -> dict:
    return build()


def truth(model: nn.Module, seed: int = 0) -> float:
    return read(model, [numbers(digits().test, 400, 3)])
