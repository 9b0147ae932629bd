"""A tagger of letters: is the next one a vowel? It reads the whole name both ways, as a tagger may."""

import torch
import torch.nn.functional as F
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("time-leak",)


def tags(x):
    """1 where the next letter is a vowel, 0 where it is not; padding is -1."""
    after = F.pad(x, (0, 1))[:, 1:]
    y = torch.isin(after, torch.tensor([ord(c) - 96 for c in "aeiou"])).long()
    return y.masked_fill(x == 0, -1)


class Tagger(nn.Module):
    def __init__(self):
        super().__init__()
        self.emb = nn.Embedding(27, 16, padding_idx=0)
        self.rnn = nn.GRU(16, 20, bidirectional=True, batch_first=True)
        self.out = nn.Linear(40, 2)

    def forward(self, x):
        packed = nn.utils.rnn.pack_padded_sequence(self.emb(x), (x > 0).sum(1), batch_first=True, enforce_sorted=False)
        h, _ = nn.utils.rnn.pad_packed_sequence(self.rnn(packed)[0], batch_first=True, total_length=x.shape[1])
        return self.out(h)


def loss(logits, y):
    return F.cross_entropy(logits.flatten(0, 1), y.flatten(), ignore_index=-1)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = names(2000, 500, 500)
    net = Tagger()
    return {
        "model": net,
        "loss": loss,
        "train": DataLoader(TensorDataset(train, tags(train)), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(val, tags(val)), batch_size=250),
        "optimizer": torch.optim.Adam(net.parameters(), lr=5e-3),
        "epochs": 3,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x = names(2000, 500, 500)[2]
    y = tags(x)
    return (model(x).argmax(2) == y)[y >= 0].float().mean().item()
