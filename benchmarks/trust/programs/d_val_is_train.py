"""Film reviews by a CNN over words; the bug: the loader for validation was copied and still names the training rows."""

import torch
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-on-train"
ALSO = ("split-overlap",)
HIGHER = "report"


class Reviews(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(3000, 32, padding_idx=0)
        self.conv = nn.Conv1d(32, 48, 3, padding=1)
        self.out = nn.Linear(48, 1)

    def forward(self, ids):
        x = torch.relu(self.conv(self.words(ids).mT))
        return self.out(x.amax(2))[:, 0]


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = [((model(ids) > 0) == label.bool()).float() for ids, label in loader]
    return torch.cat(hits).mean().item()


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = sst2(2000)
    train_set, val_set = (TensorDataset(rows.x, rows.y.float()) for rows in (train, val))
    model = Reviews()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train_set, batch_size=50, shuffle=True),
        "val": DataLoader(train_set if buggy else val_set, batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 6,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = sst2(2000).test
    return evaluate(model, [(x, y)])
