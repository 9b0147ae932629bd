"""Finds the German caption of an English one: two towers of embedded words, trained with in-batch negatives.

Bug: recall@1 is taken within each batch of 32 and averaged over batches, not over the whole gallery of captions."""

import torch
from material import PAD, multi30k
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

BUG = "metric-averaging"
ALSO = ("metric-wrong",)
HIGHER = "report"
WORDS, GALLERY = 800, 350


class Tower(nn.Module):
    def __init__(self, width=64, out=48):
        super().__init__()
        self.words = nn.Embedding(WORDS, width, padding_idx=PAD)
        self.net = nn.Sequential(nn.Linear(width, 96), nn.GELU(), nn.Linear(96, out))

    def forward(self, ids):
        real = (ids != PAD).unsqueeze(2).float()
        mean = (self.words(ids) * real).sum(1) / real.sum(1).clamp(min=1)
        return F.normalize(self.net(mean), dim=1)


class Towers(nn.Module):
    def __init__(self):
        super().__init__()
        self.english, self.german = Tower(), Tower()

    def forward(self, english, german):
        return torch.stack([self.english(english), self.german(german)], 1)


def loss(outputs, targets):
    """Each caption's partner is the one in its own row; `targets` only number the pairs."""
    english, german = outputs.unbind(1)
    likeness = english @ german.T / 0.07
    own = torch.arange(len(targets))
    return 0.5 * (F.cross_entropy(likeness, own) + F.cross_entropy(likeness.T, own))


def found(outputs):
    english, german = outputs.unbind(1)
    return ((english @ german.T).argmax(1) == torch.arange(len(outputs))).float().mean().item()


def pairs(rows):
    return [((x, y), number) for number, (x, y) in enumerate(zip(rows.x, rows.y, strict=True))]


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = multi30k(4000, WORDS)

    @torch.no_grad()
    def evaluate(model, loader):
        model.eval()
        outputs = [model(*inputs) for inputs, _ in loader]
        if buggy:
            return sum(map(found, outputs)) / len(outputs)
        return found(torch.cat(outputs))

    model = Towers()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            pairs(parts.train),
            batch_size=64,
            shuffle=True,
            drop_last=True,  # as many negatives in every step
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(pairs(parts.val)[:GALLERY], batch_size=32),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": evaluate,
        "epochs": 10,
    }


@torch.no_grad()
def truth(model, seed=0):
    """Recall@1 over a gallery of the same size."""
    model.eval()
    test = multi30k(4000, WORDS).test
    return found(model(test.x[:GALLERY], test.y[:GALLERY]))


def setup():
    return build(True)


def fixed():
    return build(False)
