"""Two towers rank songs for listeners, trained on (listener, liked, disliked) by the logistic loss of BPR.

Bug: the catalogue is enlarged after the optimizer was made; the new song table is in the model and not in it."""

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "optimizer-missing-parameters"
ALSO = ()
HIGHER = "truth"
LISTENERS, OLD, SONGS = 150, 90, 120


def world():
    w = torch.Generator().manual_seed(300)
    genre = torch.randn(LISTENERS, 4, generator=w) @ torch.randn(4, SONGS, generator=w)
    return genre / 2 + 0.8 * torch.randn(SONGS, generator=w)


def triples(rows, seed):
    g = torch.Generator().manual_seed(seed)
    love = world()
    who = torch.randint(LISTENERS, (rows,), generator=g)
    a, b = torch.randint(SONGS, (2, rows), generator=g)
    b = torch.where(a == b, (b + 1) % SONGS, b)
    first = torch.rand(rows, generator=g) < torch.sigmoid(2.5 * (love[who, a] - love[who, b]))
    return TensorDataset(who, torch.where(first, a, b), torch.where(first, b, a))


def collate(rows):
    who, liked, disliked = (torch.stack(column) for column in zip(*rows, strict=False))
    return {"who": who, "liked": liked, "disliked": disliked}, torch.ones(len(who))


class Towers(nn.Module):
    def __init__(self, songs, dim=8):
        super().__init__()
        self.listeners = nn.Embedding(LISTENERS, dim)
        self.deepen = nn.Sequential(nn.Linear(dim, 32), nn.ReLU(), nn.Linear(32, dim))
        self.songs = nn.Embedding(songs, dim)
        for table in (self.listeners, self.songs):
            nn.init.normal_(table.weight, std=0.3)

    def enlarge(self, songs):
        """Room for more songs; known rows are kept."""
        old = self.songs
        self.songs = nn.Embedding(songs, old.embedding_dim)
        nn.init.normal_(self.songs.weight, std=0.3)
        with torch.no_grad():
            self.songs.weight[: old.num_embeddings] = old.weight

    def forward(self, who, liked, disliked):
        h = self.listeners(who)
        h = h + self.deepen(h)
        return (h * (self.songs(liked) - self.songs(disliked))).sum(1)


@torch.no_grad()
def pairs_right(model, loader):
    model.eval()
    return sum((model(**x) > 0).sum().item() for x, _ in loader) / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Towers(OLD)
    if buggy:
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
        model.enlarge(SONGS)
    else:
        model.enlarge(SONGS)
        optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    return {
        "model": model,
        "loss": F.binary_cross_entropy_with_logits,
        "train": DataLoader(triples(8000, 301), batch_size=128, shuffle=True, collate_fn=collate),
        "val": DataLoader(triples(1000, 302), batch_size=500, collate_fn=collate),
        "optimizer": optimizer,
        "evaluate": pairs_right,
        "epochs": 12,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    """How many pairs it orders as the listeners' true love would."""
    found = triples(6000, 303)
    who, a, b = found.tensors
    love = world()
    swap = love[who, a] < love[who, b]
    clean = TensorDataset(who, torch.where(swap, b, a), torch.where(swap, a, b))
    return pairs_right(model, DataLoader(clean, batch_size=1000, collate_fn=collate))
