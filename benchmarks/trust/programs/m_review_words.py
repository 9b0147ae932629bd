"""Whether a phrase of a film review likes the film: averaged word vectors with dropout, and a small head (SST-2).

Bug: dropout is called as a function without being told of the mode, so it also strikes out words at evaluation."""

import torch
from material import PAD, sst2
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"


class Averaged(nn.Module):
    def __init__(self, follows_mode, words=3000, width=48):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PAD)
        self.hidden, self.out = nn.Linear(width, 48), nn.Linear(48, 1)
        self.follows_mode = follows_mode

    def forward(self, ids):
        real = (ids != PAD).float()
        mean = self.embed(ids).sum(1) / real.sum(1, keepdim=True).clamp(min=1)
        mean = F.dropout(mean, 0.5, training=self.training) if self.follows_mode else F.dropout(mean, 0.5)
        return self.out(torch.relu(self.hidden(mean))).squeeze(1)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = sst2(5000)
    model = Averaged(follows_mode=not buggy)
    return {
        "model": model,
        "loss": lambda scores, liked: F.binary_cross_entropy_with_logits(scores, liked.float()),
        "train": DataLoader(
            TensorDataset(*parts.train), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*parts.val), 436),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([(model(x) > 0) == (y == 1) for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    torch.manual_seed(seed)
    return accuracy(model, [sst2(5000).test])


def setup():
    return build(True)


def fixed():
    return build(False)
