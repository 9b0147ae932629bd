"""The mood of phrases of film reviews, by convolutions of three widths over words and the greatest answer of each.

Bug: the validation loader was copied from the training one and still reads the training set, so the report is of seen phrases."""

import torch
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-on-train"
ALSO = ("split-overlap",)
HIGHER = "report"


class WordWindows(nn.Module):
    def __init__(self, words=5000, width=64, filters=48):
        super().__init__()
        self.word = nn.Embedding(words, width, padding_idx=0)
        self.windows = nn.ModuleList(nn.Conv1d(width, filters, size, padding=size // 2) for size in (1, 3, 5))
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(3 * filters, 1)

    def forward(self, ids):
        hidden = (ids == 0).unsqueeze(1)
        x = self.drop(self.word(ids)).transpose(1, 2)
        found = [torch.relu(window(x)).masked_fill(hidden, 0.0).amax(2) for window in self.windows]
        return self.head(self.drop(torch.cat(found, 1))).squeeze(1)


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        hits = [(model(x) > 0) == (y > 0.5) for x, y in batches]
    return float(torch.cat(hits).float().mean())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = sst2(train=9000, words=5000)
    train, val = (TensorDataset(part.x, part.y.float()) for part in (parts.train, parts.val))
    model = WordWindows()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(train if buggy else val, batch_size=250),
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    test = sst2(train=9000, words=5000).test
    return accuracy(model, list(zip(test.x.split(500), test.y.split(500), strict=False)))


def setup():
    return build(True)


def fixed():
    return build(False)
