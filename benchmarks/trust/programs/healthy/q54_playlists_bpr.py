"""Which song comes next on whose list? Matrix factorisation by BPR, with songs nobody chose drawn anew every epoch."""

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("split-overlap", "no-nonlinearity", "wrong-loss")

N_USERS, N_SONGS = 250, 300


def listens():
    """Each listener has a few moods, each song too; popular songs are heard by all. The last two of 26 are held out."""
    rng = np.random.default_rng(21)
    moods_u, moods_s = rng.dirichlet(np.full(6, 0.25), N_USERS), rng.dirichlet(np.full(6, 0.2), N_SONGS)
    popular = rng.normal(0, 0.5, N_SONGS)
    score = np.exp(8 * moods_u @ moods_s.T + popular)
    return np.stack([rng.permutation(rng.choice(N_SONGS, 26, False, row / row.sum())) for row in score])


HEARD = listens()


class BPRTrain(Dataset):
    """(user, heard, unheard); the third is drawn at each visit."""

    def __init__(self, heard):
        self.rows = [(u, s) for u, songs in enumerate(heard) for s in songs]
        self.known = [set(songs) for songs in heard]

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, k):
        u, pos = self.rows[k]
        neg = int(torch.randint(N_SONGS, ()))
        while neg in self.known[u]:
            neg = int(torch.randint(N_SONGS, ()))
        return (torch.tensor(u), torch.tensor([pos, neg])), torch.tensor([1.0, 0.0])


class Ranked(Dataset):
    """A held-out song (place 0) among 100 that the listener has never heard."""

    def __init__(self, column, seed):
        rng = np.random.default_rng(seed)
        self.rows = []
        for u, songs in enumerate(HEARD):
            others = rng.choice(np.setdiff1d(np.arange(N_SONGS), songs), 100, False)
            self.rows.append((u, np.concatenate([[songs[column]], others])))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, k):
        u, songs = self.rows[k]
        y = torch.zeros(len(songs))
        y[0] = 1
        return (torch.tensor(u), torch.from_numpy(songs)), y


class MF(nn.Module):
    def __init__(self, k=16):
        super().__init__()
        self.user = nn.Embedding(N_USERS, k)
        self.song = nn.Embedding(N_SONGS, k)
        self.bias = nn.Embedding(N_SONGS, 1)
        nn.init.normal_(self.user.weight, std=0.1)
        nn.init.normal_(self.song.weight, std=0.1)
        nn.init.zeros_(self.bias.weight)

    def forward(self, user, songs):
        return (self.user(user)[:, None] * self.song(songs)).sum(-1) + self.bias(songs)[..., 0]


def bpr(scores, y):
    return -F.logsigmoid(scores[:, :1] - scores[:, 1:]).mean()


@torch.no_grad()
def hit_at_10(model, loader):
    model.eval()
    hits = [((s[:, 1:] >= s[:, :1]).sum(1) < 10).float() for s in (model(*inputs) for inputs, _ in loader)]
    return torch.cat(hits).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = MF()
    return {
        "model": model,
        "loss": bpr,
        "train": DataLoader(BPRTrain(HEARD[:, :24]), batch_size=64, shuffle=True),
        "val": DataLoader(Ranked(24, 1), batch_size=125),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3, weight_decay=1e-5),
        "evaluate": hit_at_10,
        "epochs": 12,
    }


def fixed():
    return build()


def truth(model, seed=0):
    return hit_at_10(model, DataLoader(Ranked(25, 2), batch_size=125))
