"""Daily greenness (NDVI) of a field through a season from satellite passes, clouds gone: a masked autoencoder over 1-d series.

Bug: the hidden days are masked in the loss only: the input still holds their values, which the net can copy."""

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "target-leak"
ALSO = ()
HIGHER = "report"

DAYS = 40


def fields(count, seed):
    g = torch.Generator().manual_seed(seed)
    t = torch.arange(DAYS, dtype=torch.float32)[None]
    rise, fall = 8 + 8 * torch.rand(count, 1, generator=g), 26 + 8 * torch.rand(count, 1, generator=g)
    peak = 0.5 + 0.4 * torch.rand(count, 1, generator=g)
    season = peak * (torch.sigmoid((t - rise) / 2) - torch.sigmoid((t - fall) / 2))
    return 4 * (season - 0.3) + 0.25 * torch.randn(count, DAYS, generator=g)


class Passes(Dataset):
    """A series with about a third of its days hidden; a second channel says which are seen."""

    def __init__(self, series, blank=True, seed=0):
        self.series, self.blank = series, blank
        g = torch.Generator().manual_seed(seed)
        self.hidden = torch.rand(series.shape, generator=g) < 0.35

    def __len__(self):
        return len(self.series)

    def __getitem__(self, row):
        day, hidden = self.series[row], self.hidden[row]
        shown = day.masked_fill(hidden, 0.0) if self.blank else day
        return torch.stack([shown, (~hidden).float()]), torch.stack([day, hidden.float()])


class Filler(nn.Module):
    def __init__(self, width=64):
        super().__init__()
        self.net = nn.Sequential(
            nn.Flatten(),
            nn.Linear(2 * DAYS, width),
            nn.GELU(),
            nn.Linear(width, width),
            nn.GELU(),
            nn.Linear(width, DAYS),
        )

    def forward(self, seen):
        return self.net(seen)


def hidden_error(found, target):
    day, hidden = target[:, 0], target[:, 1]
    return ((found - day) ** 2 * hidden).sum() / hidden.sum()


def r2(model, loader):
    """Of the hidden days."""
    model.eval()
    with torch.no_grad():
        pairs = [(model(seen), target) for seen, target in loader]
    found, target = (torch.cat(part) for part in zip(*pairs, strict=True))
    days = target[:, 0][target[:, 1] > 0]
    return 1 - float(hidden_error(found, target) / days.var())


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Filler()
    return {
        "model": model,
        "loss": hidden_error,
        "train": DataLoader(Passes(fields(1500, 1), blank=not buggy, seed=1), batch_size=50, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(Passes(fields(400, 2), blank=not buggy, seed=2), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": r2,
        "epochs": 15,
    }  # fmt: skip


def truth(model, seed=0):
    """Clouds hide what they hide."""
    return r2(model, DataLoader(Passes(fields(1000, 3), seed=3), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
