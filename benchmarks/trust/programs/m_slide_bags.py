"""Attention pooling over a bag of tiles (multi-instance learning): does any of a slide's eight tiles show a nine?

The tiles' embeddings are kept on the model, for the viewer's heat maps.
Bug: the kept, detached embeddings are also what the pooling goes on with, so the encoder gets no gradient.
"""

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "gradient-cut"
ALSO = ()
HIGHER = "truth"
TILES = 8


class BagClassifier(nn.Module):
    def __init__(self, dim=32, keep_only=False):
        super().__init__()
        self.keep_only = keep_only
        self.encoder = nn.Sequential(
            nn.Conv2d(1, 8, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Conv2d(8, 16, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(16 * 7 * 7, dim),
            nn.ReLU(),
        )
        self.tanh, self.gate = nn.Linear(dim, 24), nn.Linear(dim, 24)
        self.attention = nn.Linear(24, 1)
        self.head = nn.Linear(dim, 1)
        self.embeddings = None

    def forward(self, bags):
        tiles = self.encoder(bags.flatten(0, 1)).unflatten(0, bags.shape[:2])
        if self.keep_only:
            self.embeddings = tiles = tiles.detach()
        else:
            self.embeddings = tiles.detach()
        scores = self.attention(self.tanh(tiles).tanh() * self.gate(tiles).sigmoid())
        pooled = (scores.softmax(dim=1) * tiles).sum(dim=1)
        return self.head(pooled).squeeze(1)


def bags(part, count, seed):
    """Half of the bags hold one or two nines; the other tiles are any other digits."""
    g = torch.Generator().manual_seed(seed)
    nines, others = (part.y == 9).nonzero().flatten(), (part.y != 9).nonzero().flatten()
    picked = others[torch.randint(len(others), (count, TILES), generator=g)]
    flags = torch.arange(count) % 2
    for bag in flags.nonzero().flatten().tolist():
        many = int(torch.randint(1, 3, (1,), generator=g))
        places = torch.randperm(TILES, generator=g)[:many]
        picked[bag, places] = nines[torch.randint(len(nines), (many,), generator=g)]
    pictures = (part.x.float() / 255 - 0.1307) / 0.3081
    return TensorDataset(pictures[picked][:, :, None], flags.float())


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    return sum(((model(x) > 0) == (y > 0.5)).sum().item() for x, y in loader) / len(loader.dataset)


def build(buggy, seed=0):
    parts = material.mnist(3000, 800, 1500)
    torch.manual_seed(seed)
    model = BagClassifier(keep_only=buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(
            bags(parts.train, 1000, 1), batch_size=20, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(bags(parts.val, 200, 2), batch_size=50),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": accuracy,
        "epochs": 10,
    }


def truth(model, seed=0):
    test = material.mnist(3000, 800, 1500).test
    return accuracy(model, DataLoader(bags(test, 500, 3), batch_size=50))


def setup():
    return build(True)


def fixed():
    return build(False)
