"""Kinds of questions, balanced by a sampler; the bug: the weights are the classes' counts where they should divide."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = "class-imbalance"
ALSO = ()
HIGHER = "truth"


class TextCNN(nn.Module):
    def __init__(self, words=2000, width=32):
        super().__init__()
        self.embed = nn.Embedding(words, width)
        self.convs = nn.ModuleList(nn.Conv1d(width, 32, size, padding=1) for size in (2, 3))
        self.drop = nn.Dropout(0.2)
        self.head = nn.Linear(64, 6)

    def forward(self, ids):
        x = self.embed(ids).transpose(1, 2)  # (B, width, T)
        pooled = [torch.relu(conv(x)).amax(2) for conv in self.convs]
        return self.head(self.drop(torch.cat(pooled, 1)))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    keep = torch.ones(len(train.y), dtype=torch.bool)
    for rare in (4, 5):  # the archive of these two is small
        keep[torch.nonzero(train.y == rare)[60:, 0]] = False
    x, y = train.x[keep], train.y[keep]
    counts = torch.bincount(y, minlength=6).double()
    weights = counts[y] if buggy else 1 / counts[y]
    sampler = WeightedRandomSampler(weights, num_samples=2500)
    net = TextCNN()
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(x, y), batch_size=50, sampler=sampler),
        "val": DataLoader(TensorDataset(*val), batch_size=263),
        "optimizer": torch.optim.Adam(net.parameters(), lr=2e-3),
        "epochs": 6,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    """The mean recall of the six classes."""
    model.eval()
    x, y = trec().test
    hit = (model(x).argmax(1) == y).float()
    return torch.stack([hit[y == c].mean() for c in range(6)]).mean().item()
