"""Fills in hidden letters of first names with a transformer that looks both ways (masked modelling).

Near: every position sees what comes after it, which is the point: only hidden letters are to be told, the model is not
causal, and the empty places at the end are masked out of the attention."""

import torch
from material import names
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader

BUG = None
NEAR = ("time-leak", "padding-leak", "target-leak", "metric-wrong")
HIDDEN, IGNORED = 27, -100


def hide(x, generator=None):
    """Names with about a fifth of their letters hidden, at least one, and the letters that were there."""
    letters = x != 0
    draw = torch.rand(x.shape, generator=generator).masked_fill(~letters, 2.0)
    hidden = (draw < 0.2) | (draw == draw.amin(1, keepdim=True))
    return x.masked_fill(hidden, HIDDEN), x.masked_fill(~hidden, IGNORED)


class Filler(nn.Module):
    def __init__(self, width=48, length=16):
        super().__init__()
        self.letter = nn.Embedding(28, width, padding_idx=0)
        self.place = nn.Parameter(0.02 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(width, 4, 2 * width, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 27)

    def forward(self, ids):
        h = self.letter(ids) + self.place[: ids.shape[1]]
        return self.head(self.encoder(h, src_key_padding_mask=ids == 0))


def loss(out, y):
    return F.cross_entropy(out.flatten(0, 1), y.flatten(), ignore_index=IGNORED)


def accuracy(model, loader):
    """Share of the hidden letters that are told right."""
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            counted = y != IGNORED
            right += (model(x).argmax(2) == y)[counted].sum().item()
            total += counted.sum().item()
    return right / total


def held(x, seed):
    """Batches whose hidden letters are drawn once."""
    return DataLoader(list(zip(*hide(x, torch.Generator().manual_seed(seed)), strict=True)), 250)


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = names(train=6000)
    model = Filler()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 60, shuffle=True, collate_fn=lambda rows: hide(torch.stack(rows))),
        "val": held(val, 1),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 12,
    }


def truth(model, seed=0):
    return accuracy(model, held(names(train=6000)[2], 2))


def fixed():
    return build()
