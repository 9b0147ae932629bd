"""Praise or blame by a convolution over words with a hinge loss; margins (B, 1) meet signs (B,)."""

import torch
import torch.nn.functional as F
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "shape-broadcast"
ALSO = ()
HIGHER = "truth"


class TextCNN(nn.Module):
    def __init__(self, words=3000, dim=24, filters=24):
        super().__init__()
        self.words = nn.Embedding(words, dim)
        self.convs = nn.ModuleList(nn.Conv1d(dim, filters, k, padding=k // 2) for k in (1, 3))
        self.fc = nn.Linear(2 * filters, 1)

    def forward(self, ids):
        x = self.words(ids).transpose(1, 2)
        x = torch.cat([F.relu(conv(x)).amax(-1) for conv in self.convs], dim=1)
        return self.fc(F.dropout(x, 0.3, self.training))  # (B, 1)


def hinge(margin, sign):
    return F.relu(1 - sign * margin).mean()


def signs(rows, shape):
    return TensorDataset(rows.x, (2.0 * rows.y - 1).view(shape))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = sst2(train=4000)
    shape = (-1,) if buggy else (-1, 1)
    model = TextCNN()
    return {
        "model": model,
        "loss": hinge,
        "train": DataLoader(signs(data.train, shape), batch_size=50, shuffle=True),
        "val": DataLoader(signs(data.val, shape), batch_size=218),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    test = sst2(train=4000).test
    model.eval()
    return ((model(test.x)[:, 0] > 0) == test.y.bool()).float().mean().item()
