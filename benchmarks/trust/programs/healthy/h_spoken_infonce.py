"""Two views of a spoken digit's spectrum are matched with in-batch negatives (InfoNCE); retrieval by nearest neighbour.

Near: targets are the row's own place in the batch, so each batch's rows matter to one another in the loss; the outputs
are unit vectors over a small temperature, and "labels" are unused. All of that is what the method asks for."""

import torch
from material import fsdd
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("batch-mixing", "label-misaligned", "target-leak", "label-noise")


class Pairs(Dataset):
    """A recording and another of the same digit, newly drawn each time; every batch has each digit once."""

    def __init__(self, x, y, rounds, seed):
        self.x = x
        self.rows = [(y == digit).nonzero()[:, 0] for digit in range(10)]
        self.rounds, self.generator = rounds, torch.Generator().manual_seed(seed)

    def __len__(self):
        return self.rounds * 10

    def __getitem__(self, place):
        rows = self.rows[place % 10]
        two = rows[torch.randint(len(rows), (2,), generator=self.generator)]
        return self.x[two[0]], self.x[two[1]]


class Voice(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            nn.Conv1d(43, 48, 5, stride=2, padding=2), nn.ReLU(), nn.Conv1d(48, 48, 5, stride=2, padding=2), nn.ReLU(),
            nn.Flatten(), nn.Linear(48 * 8, 32),
        )  # fmt: skip

    def embed(self, sound):
        return F.normalize(self.net(sound.transpose(1, 2)), dim=-1)

    def forward(self, one, other):
        return self.embed(one) @ self.embed(other).T / 0.1


def collate(rows):
    one, other = (torch.stack(part) for part in zip(*rows, strict=True))
    return (one, other), torch.arange(len(rows))


def symmetric(scores, own):
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def scaled():
    parts = fsdd()
    mean, std = parts.train.x.mean(), parts.train.x.std()
    return [((part.x - mean) / std, part.y) for part in parts]


def nearest(model, known, asked):
    model.eval()
    with torch.no_grad():
        best = (model.embed(asked[0]) @ model.embed(known[0]).T).argmax(1)
    return float((known[1][best] == asked[1]).float().mean())


def build(seed=0):
    torch.manual_seed(seed)
    known, val, _ = scaled()
    model = Voice()
    return {
        "model": model,
        "loss": symmetric,
        "train": DataLoader(Pairs(*known, 60, seed), batch_size=10, collate_fn=collate),
        "val": DataLoader(Pairs(*val, 15, 0), batch_size=10, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": lambda model, loader: nearest(model, known, val),
        "epochs": 8,
    }


def truth(model, seed=0):
    known, _, test = scaled()
    return nearest(model, known, test)


def fixed():
    return build()
