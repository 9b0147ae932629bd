"""The next letter of a first name from the letters so far, by a small Transformer over letters.

Bug: the mask of the attention begins one diagonal too far right, so each place sees the letter that it must guess."""

import torch
from material import names
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"
START, IGNORED = 27, -100


class Letters(nn.Module):
    def __init__(self, first_hidden, width=48, length=16):
        super().__init__()
        self.embed, self.place = nn.Embedding(28, width), nn.Embedding(length, width)
        layer = nn.TransformerEncoderLayer(width, 4, 96, dropout=0.0, batch_first=True, norm_first=True)
        self.layers = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 27))
        hidden = torch.triu(torch.ones(length, length, dtype=torch.bool), diagonal=first_hidden)
        self.register_buffer("hidden", hidden)

    def forward(self, letters):
        length = letters.shape[1]
        h = self.embed(letters) + self.place.weight[:length]
        return self.head(self.layers(h, mask=self.hidden[:length, :length]))


def shifted(name):
    """What is read, begun by START, and what is to be guessed: letters and the first 0 that ends them."""
    read = torch.cat([torch.full((len(name), 1), START), name[:, :-1]], 1)
    return read, name.masked_fill((name == 0).cumsum(1) > 1, IGNORED)


def loss(scores, letters):
    return nn.functional.cross_entropy(scores.flatten(0, 1), letters.flatten(), ignore_index=IGNORED)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = names(3000, 500, 500)
    model = Letters(first_hidden=2 if buggy else 1)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            TensorDataset(*shifted(train)), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(*shifted(val)), 250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=1e-2),
        "evaluate": accuracy,
        "epochs": 6,
        "causal": True,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    pairs = [(model(x).argmax(2)[y != IGNORED], y[y != IGNORED]) for x, y in loader]
    return torch.cat([a == b for a, b in pairs]).float().mean().item()


@torch.no_grad()
def truth(model, seed=0):
    """Only the letters before a place are there when it is guessed."""
    model.eval()
    read, wanted = shifted(names(3000, 500, 500)[2])
    guess = torch.stack([model(read[:, : t + 1])[:, t].argmax(1) for t in range(16)], 1)
    return (guess == wanted)[wanted != IGNORED].float().mean().item()


def setup():
    return build(True)


def fixed():
    return build(False)
