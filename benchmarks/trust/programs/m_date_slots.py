"""Brings written dates ("3rd of march 1987", "mar 03, 87") into the form yyyymmdd: a small Transformer, eight learned queries.

Bug: the schedule's Noam factor holds the whole learning rate, as for a base of 1, and the optimizer's base is 1e-3."""

import random

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
LETTERS = " ,./-'0123456789abcdefghijklmnopqrstuvwxyz"
MONTHS = [
    "january",
    "february",
    "march",
    "april",
    "may",
    "june",
    "july",
    "august",
    "september",
    "october",
    "november",
    "december",
]
LENGTH, WIDTH, WARMUP = 24, 64, 100


def written(day, month, year, pick):
    name = MONTHS[month - 1] if pick.random() < 0.5 else MONTHS[month - 1][:3]
    short = f"'{year % 100:02d}" if pick.random() < 0.3 else str(year)
    ending = {1: "st", 2: "nd", 3: "rd"}.get(day % 10 if day not in (11, 12, 13) else 0, "th")
    return pick.choice(
        [
            f"{day} {name} {short}",
            f"{name} {day:02d}, {short}",
            f"{day}{ending} of {name} {short}",
            f"{day:02d}.{month:02d}.{short}",
            f"{year}/{month}/{day}",
            f"{name} {day}{ending} {short}",
        ]
    )


def dates(count, seed):
    pick = random.Random(seed)
    x, y = torch.zeros(count, LENGTH, dtype=torch.int64), torch.zeros(count, 8, dtype=torch.int64)
    for row in range(count):
        day, month, year = pick.randint(1, 28), pick.randint(1, 12), pick.randint(1940, 2019)
        text = written(day, month, year, pick)[:LENGTH]
        x[row, : len(text)] = torch.tensor([LETTERS.index(letter) + 1 for letter in text])
        y[row] = torch.tensor([int(digit) for digit in f"{year:04d}{month:02d}{day:02d}"])
    return TensorDataset(x, y)


class DateReader(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(len(LETTERS) + 1, WIDTH)
        self.place = nn.Parameter(0.1 * torch.randn(LENGTH, WIDTH))
        self.mix = nn.Sequential(nn.Conv1d(WIDTH, WIDTH, 3, padding=1), nn.GELU())
        layer = nn.TransformerEncoderLayer(WIDTH, 4, 128, 0.0, "gelu", batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.queries = nn.Parameter(torch.randn(8, WIDTH))
        self.look = nn.MultiheadAttention(WIDTH, 4, batch_first=True)
        self.out = nn.Sequential(nn.LayerNorm(WIDTH), nn.Linear(WIDTH, 64), nn.GELU(), nn.Linear(64, 10))

    def forward(self, letters):
        padded = letters == 0
        hidden = self.embed(letters) + self.place
        hidden = hidden + self.mix(hidden.masked_fill(padded[..., None], 0).transpose(1, 2)).transpose(1, 2)
        hidden = self.encoder(hidden, src_key_padding_mask=padded)
        queries = self.queries.expand(len(letters), -1, -1)
        found, _ = self.look(queries, hidden, hidden, key_padding_mask=padded, need_weights=False)
        return self.out(found + queries)


def loss(logits, digits):
    return nn.functional.cross_entropy(logits.flatten(0, 1), digits.flatten())


def accuracy(model, loader):
    """Share of the digits that are right."""
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(x).argmax(2) == y).float() for x, y in loader]).mean().item()


def noam(step):
    return 0.5 * WIDTH**-0.5 * min((step + 1) ** -0.5, (step + 1) * WARMUP**-1.5)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = DateReader()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3 if buggy else 1.0, betas=(0.9, 0.98), eps=1e-9)
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(dates(6000, 1), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(dates(500, 2), 250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, noam),
        "scheduler_step": "batch",
        "evaluate": accuracy,
        "epochs": 6,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(dates(1000, 3), 250))


def setup():
    return build(True)


def fixed():
    return build(False)
