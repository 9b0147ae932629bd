"""Finds garments of the same kind by embeddings of their pictures, learnt with a contrastive loss over the batch.

Bug: at validation every picture is searched for among all pictures and finds itself first."""

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"


class Embedder(nn.Module):
    def __init__(self, width=24):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv2d(1, 12, 5, stride=2, padding=2), nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1), nn.ReLU(),
            nn.Flatten(), nn.Linear(24 * 49, 64), nn.ReLU(), nn.Linear(64, width),
        )  # fmt: skip

    def forward(self, pictures):
        return F.normalize(self.net(pictures), dim=1)


def contrastive(embeddings, kinds, temperature=0.1):
    """Supervised contrastive: every other picture of one's kind in the batch is to be nearer than the rest."""
    self_ = torch.eye(len(kinds), dtype=torch.bool)
    near = (embeddings @ embeddings.T / temperature).masked_fill(self_, -1e9)
    same = (kinds.unsqueeze(0) == kinds.unsqueeze(1)) & ~self_
    share = near.log_softmax(1).masked_fill(~same, 0.0).sum(1) / same.sum(1).clamp(min=1)
    return -share[same.any(1)].mean()


def embed(model, loader):
    model.eval()
    with torch.no_grad():
        found, kinds = zip(*[(model(x), y) for x, y in loader], strict=False)
    return torch.cat(found), torch.cat(kinds)


def self_matching_recall(model, loader):
    """Recall at 1: how often the nearest picture is of the same kind."""
    found, kinds = embed(model, loader)
    nearest = (found @ found.T).argmax(1)
    return (kinds[nearest] == kinds).float().mean().item()


def recall(model, loader):
    """Recall at 1: how often the nearest other picture is of the same kind."""
    found, kinds = embed(model, loader)
    nearest = (found @ found.T).fill_diagonal_(-2.0).argmax(1)
    return (kinds[nearest] == kinds).float().mean().item()


def pictures(rows):
    return TensorDataset((rows.x.float().unsqueeze(1) - 72) / 90, rows.y)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = Embedder()
    return {
        "model": model,
        "loss": contrastive,
        "train": DataLoader(pictures(parts.train), 100, shuffle=True, drop_last=True),
        "val": DataLoader(pictures(parts.val), 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": self_matching_recall if buggy else recall,
        "epochs": 6,
    }


def truth(model, seed=0):
    return recall(model, DataLoader(pictures(fashion().test), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
