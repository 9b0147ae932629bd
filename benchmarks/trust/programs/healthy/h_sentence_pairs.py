"""Puts English and German sentences of the same picture (Multi30k) side by side: two bags of words, InfoNCE.

Near: the loss sets each pair against the others of its batch, so rows of a batch matter to each other, on purpose; the
targets are the same numbers in each batch; training batches are all full, as a short one would be an easier task."""

import torch
from material import PAD, multi30k
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("batch-mixing", "dropped-rows", "label-misaligned")


class Bag(nn.Module):
    def __init__(self, words=1000, width=48):
        super().__init__()
        self.embed = nn.Embedding(words, width, padding_idx=PAD)
        self.out = nn.Linear(width, width)

    def forward(self, ids):
        count = (ids != PAD).sum(1, keepdim=True).clamp(min=1)
        return F.normalize(self.out(torch.tanh(self.embed(ids).sum(1) / count.sqrt())), dim=1)


class Pairs(nn.Module):
    """Answers how alike each English sentence of a batch is to each German one, over a learned temperature."""

    def __init__(self):
        super().__init__()
        self.english, self.german = Bag(), Bag()
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, english, german):
        return self.log_scale.exp().clamp(max=50) * self.english(english) @ self.german(german).T


def collate(rows):
    english, german = (torch.stack(part) for part in zip(*rows, strict=True))
    return (english, german), torch.arange(len(rows))


def loss(alike, own):
    return (F.cross_entropy(alike, own) + F.cross_entropy(alike.T, own)) / 2


def build(seed=0):
    torch.manual_seed(seed)
    parts = multi30k(3000)
    model = Pairs()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(*parts.train),
            64,
            shuffle=True,
            drop_last=True,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(*parts.val), 50, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": found,
        "epochs": 8,
    }


@torch.no_grad()
def found(model, loader):
    """Share of the English sentences whose own German one is the most alike of its batch of 50."""
    model.eval()
    hits = torch.cat([model(*inputs).argmax(1) == own for inputs, own in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    return found(model, DataLoader(TensorDataset(*multi30k(3000).test), 50, collate_fn=collate))


def fixed():
    return build()
