"""Which digits are in a picture of one to three? Ten yes-or-no answers, most of them no.

Close to `class-imbalance` and `wrong-loss`: a multi-label problem has a sigmoid per class, and 0 to 3 ones a row.
"""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("class-imbalance", "wrong-loss")


class Several(Dataset):
    """Three digits of 8 by 8 side by side, or blanks; multi-hot labels."""

    def __init__(self, rows, count, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = rows
        self.pick = torch.randint(len(rows.x), (count, 3), generator=g)
        self.there = torch.rand(count, 3, generator=g) < torch.tensor([1.0, 0.6, 0.6])

    def __len__(self):
        return len(self.pick)

    def __getitem__(self, row):
        places = self.pick[row]
        there = self.there[row]
        x = self.rows.x[places].reshape(3, 8, 8) / 16 * there[:, None, None]
        y = torch.zeros(10)
        y[self.rows.y[places[there]]] = 1.0
        return torch.cat(list(x), 1)[None], y  # (1, 8, 24), (10,)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 48, (8, 8), stride=(1, 2)), nn.ReLU()
        )
        self.head = nn.Linear(48, 10)

    def forward(self, x):
        return self.head(self.body(x).amax((2, 3)))


def build(seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = Net()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(Several(parts.train, 1200, 1), batch_size=30, shuffle=True),
        "val": DataLoader(Several(parts.val, 200, 2), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 6,
    }


def fixed():
    return build()


def truth(model, seed=0):
    """F1 over all answers."""
    model.eval()
    with torch.no_grad():
        x, y = (torch.stack(side) for side in zip(*Several(digits().test, 400, 3), strict=True))
        yes = model(x) > 0
    hits = (yes & (y == 1)).sum()
    return (2 * hits / (yes.sum() + y.sum())).item()
