"""Scanned digits through four words of a learned code book (VQ-VAE), with gradients carried straight through.

Near: argmin and detach cut the graph, in three places, and all three are the method's own: straight through, code book
loss, commitment loss."""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "dead-units", "frozen-parameters")


class CodeBook(nn.Module):
    def __init__(self, words=32, width=8, places=4):
        super().__init__()
        self.shape = (places, width)
        self.encoder = nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, places * width))
        self.words = nn.Parameter(torch.randn(words, width) * 0.3)
        self.decoder = nn.Sequential(nn.Linear(places * width, 128), nn.ReLU(), nn.Linear(128, 64))

    def forward(self, x):
        code = self.encoder(x).unflatten(1, self.shape)
        nearest = torch.cdist(code.detach(), self.words.detach()).argmin(2)
        word = self.words[nearest]
        through = code + (word - code).detach()
        pull = ((word - code.detach()) ** 2).mean() + 0.25 * ((code - word.detach()) ** 2).mean()
        return self.decoder(through.flatten(1)), pull


def loss(outputs, pictures):
    picture, pull = outputs
    return ((picture - pictures) ** 2).mean() + pull


def build(seed=0):
    torch.manual_seed(seed)
    parts = digits()
    x, held = parts.train.x / 16, parts.val.x / 16
    model = CodeBook()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(TensorDataset(x, x), 50, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(held, held), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": explained,
        "epochs": 40,
    }


@torch.no_grad()
def explained(model, loader):
    """Share of the pixels' variance that survives the code."""
    model.eval()
    pairs = [(model(x)[0], y) for x, y in loader]
    picture, wanted = torch.cat([a for a, _ in pairs]), torch.cat([b for _, b in pairs])
    return 1 - ((picture - wanted) ** 2).sum().item() / ((wanted - wanted.mean(0)) ** 2).sum().item()


def truth(model, seed=0):
    x = digits().test.x / 16
    return explained(model, [(x, x)])


def fixed():
    return build()
