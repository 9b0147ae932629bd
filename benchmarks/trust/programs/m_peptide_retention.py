"""Predicts the chromatographic retention of peptides, 5 to 45 residues long and mostly short, padded to the longest of their batch.

Bug: the mean over the residues also runs over the padding."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"
RESIDUES = "ACDEFGHIKLMNPQRSTVWY"  # ids 1 to 20, 0 pads
HYDROPHOBIC = [
    1.8,
    2.5,
    -3.5,
    -3.5,
    2.8,
    -0.4,
    -3.2,
    4.5,
    -3.9,
    3.8,
    1.9,
    -3.5,
    -1.6,
    -3.5,
    -4.5,
    -0.8,
    -0.7,
    4.2,
    -0.9,
    -1.3,
]


def peptides(rows, seed):
    """Pairs of ids (5 to 45) and a retention that goes by mean hydrophobicity and by what stands side by side."""
    g = torch.Generator().manual_seed(seed)
    scale = torch.tensor([0.0, *HYDROPHOBIC])
    found = []
    for _ in range(rows):
        length = 5 + int(40 * torch.rand((), generator=g) ** 3)
        taste = torch.randn(20, generator=g) * 0.7 + 0.25 * torch.randn(1, generator=g) * scale[1:]
        ids = 1 + torch.multinomial(taste.softmax(0), length, replacement=True, generator=g)
        h = scale[ids]
        neighbours = (h[1:] * h[:-1] > 4).float().mean()
        retention = torch.tanh(0.5 * h.mean()) + 0.8 * neighbours + 0.05 * torch.randn((), generator=g)
        found.append((ids, retention))
    return found


def collate(rows):
    return pad_sequence([ids for ids, _ in rows], batch_first=True), torch.stack([y for _, y in rows])


class Retention(nn.Module):
    def __init__(self, over_padding=False):
        super().__init__()
        self.over_padding = over_padding
        self.residue = nn.Embedding(21, 24, padding_idx=0)
        self.pairs = nn.Conv1d(24, 48, 3, padding=1)
        self.read = nn.Sequential(nn.Linear(48, 48), nn.SiLU(), nn.Linear(48, 1))

    def forward(self, ids):
        real = (ids != 0).unsqueeze(-1).float()
        h = torch.relu(self.pairs(self.residue(ids).transpose(1, 2))).transpose(1, 2)
        pooled = h.mean(1) if self.over_padding else (h * real).sum(1) / real.sum(1)
        return self.read(pooled).squeeze(-1)


def explained(model, loader):
    model.eval()
    with torch.no_grad():
        p, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=False))
    return 1 - ((p - y) ** 2).mean().item() / y.var(correction=0).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Retention(over_padding=buggy)
    return {
        "model": model,
        "loss": nn.HuberLoss(),
        "train": DataLoader(peptides(1200, 71), 32, shuffle=True, collate_fn=collate),
        "val": DataLoader(peptides(400, 72), 50, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "evaluate": explained,
        "epochs": 8,
    }


def truth(model, seed=0):
    return explained(model, DataLoader(peptides(600, 73), 20, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
