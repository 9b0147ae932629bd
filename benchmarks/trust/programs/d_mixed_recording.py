"""Names which of twelve shapes of signal occur in a mixed recording (multi-label: each occurs in one of ten).

Bug: the report is the share of right bits, which answering "none" to all nearly reaches, where micro F1 is meant."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-wrong"
ALSO = ()
HIGHER = "report"
LABELS, LENGTH = 12, 64


def recordings(count, seed):
    g = torch.Generator().manual_seed(seed)
    y = (torch.rand(count, LABELS, generator=g) < 0.1).float()
    time = torch.arange(LENGTH) / LENGTH
    tones = torch.sin(2 * torch.pi * torch.arange(2, LABELS + 2).unsqueeze(1) * 2 * time)
    tones = tones.unsqueeze(0).repeat(count, 1, 1)
    begins = torch.rand(count, LABELS, 1, generator=g) * 0.6
    window = torch.exp(-((time - begins - 0.2) ** 2) / 0.02)
    volumes = 0.4 + 0.8 * torch.rand(count, LABELS, 1, generator=g)
    x = (y.unsqueeze(2) * volumes * window * tones).sum(1) + 0.2 * torch.randn(count, LENGTH, generator=g)
    return x.unsqueeze(1), y


class Ears(nn.Module):
    def __init__(self):
        super().__init__()
        self.filters = nn.Conv1d(1, 48, 17, padding=8)
        self.second = nn.Conv1d(48, 48, 5, padding=2)
        self.head = nn.Linear(48, LABELS)

    def forward(self, x):
        x = torch.relu(self.filters(x))
        return self.head(torch.relu(self.second(x)).amax(2))


@torch.no_grad()
def decided(model, loader):
    model.eval()
    pairs = [(model(x) > 0, y > 0.5) for x, y in loader]
    return [torch.cat(part) for part in zip(*pairs, strict=True)]


def bits(model, loader):
    said, there = decided(model, loader)
    return (said == there).float().mean().item()


def micro_f1(model, loader):
    said, there = decided(model, loader)
    return (2 * (said & there).sum() / (said.sum() + there.sum()).clamp(min=1)).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Ears()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(TensorDataset(*recordings(3000, 1)), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(*recordings(500, 2)), batch_size=250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": bits if buggy else micro_f1,
        "epochs": 6,
    }


def truth(model, seed=0):
    return micro_f1(model, DataLoader(TensorDataset(*recordings(1500, 3)), batch_size=500))


def setup():
    return build(True)


def fixed():
    return build(False)
