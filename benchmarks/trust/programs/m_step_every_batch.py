"""A bidirectional LSTM tags the letters of names: consonant, vowel before one consonant, other vowel, doubled, last.

Bug: the step schedule counts in epochs, but it is stepped after every batch, so the rate is gone at once."""

import torch
import torch.nn.functional as F
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ()
HIGHER = "truth"
VOWELS = torch.tensor([ord(c) - 96 for c in "aeiouy"])
IGNORE = -100


def tags(x):
    """0 consonant, 1 vowel before a single consonant, 2 other vowel, 3 doubled letter, 4 last letter of the name."""
    vowel = torch.isin(x, VOWELS)
    after = F.pad(x, (0, 2))[:, 1:-1]
    second = F.pad(x, (0, 2))[:, 2:]
    before = F.pad(x, (1, 0))[:, :-1]
    consonant = (after > 0) & ~torch.isin(after, VOWELS)
    open_ = consonant & torch.isin(second, VOWELS)
    y = torch.zeros_like(x)
    y[vowel] = 2
    y[vowel & open_] = 1
    y[(x == after) | (x == before)] = 3
    y[(x > 0) & (after == 0)] = 4
    y[x == 0] = IGNORE
    return y


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(27, 24, padding_idx=0)
        self.lstm = nn.LSTM(24, 32, bidirectional=True, batch_first=True)
        self.out = nn.Linear(64, 5)

    def forward(self, x):
        return self.out(self.lstm(self.emb(x))[0])


def tag_loss(logits, y):
    return F.cross_entropy(logits.transpose(1, 2), y, ignore_index=IGNORE)


@torch.no_grad()
def tag_accuracy(model, loader):
    model.eval()
    right = total = 0
    for x, y in loader:
        known = y != IGNORE
        right += (model(x).argmax(2) == y)[known].sum().item()
        total += known.sum().item()
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = names(2000, 500, 500)
    net = Tagger()
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    return {
        "model": net,
        "loss": tag_loss,
        "train": DataLoader(TensorDataset(train, tags(train)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(val, tags(val)), batch_size=250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 2, gamma=0.5),
        "scheduler_step": "batch" if buggy else "epoch",
        "evaluate": tag_accuracy,
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    test = names(2000, 500, 500)[2]
    return tag_accuracy(model, DataLoader(TensorDataset(test, tags(test)), batch_size=250))
