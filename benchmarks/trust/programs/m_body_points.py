"""A set network: from 5 to 30 measured points of a body it estimates the logarithm of the body's size and flatness.

Bug: the mean over the points also counts the padding, whose features are not zero after the first layers' biases."""

import torch
from torch import nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import DataLoader, Dataset

BUG = "padding-leak"
ALSO = ()
HIGHER = "truth"


class Bodies(Dataset):
    """Points on a turned ellipse; the targets are standardised."""

    def __init__(self, count, seed):
        g = torch.Generator().manual_seed(seed)
        self.rows = []
        for _ in range(count):
            points = int(torch.randint(5, 31, (), generator=g))
            size, flat, turn = torch.randn(3, generator=g) * torch.tensor([1.0, 1.0, 0.3])
            around = 2 * torch.pi * torch.rand(points, generator=g)
            longer, shorter = torch.exp(0.4 * size + 0.3 * flat), torch.exp(0.4 * size - 0.3 * flat)
            x, y = longer * torch.cos(around), shorter * torch.sin(around)
            x, y = x * torch.cos(turn) - y * torch.sin(turn), x * torch.sin(turn) + y * torch.cos(turn)
            cloud = torch.stack([x, y], 1) + 0.03 * torch.randn(points, 2, generator=g)
            self.rows.append((cloud, torch.stack([size, flat])))

    def __len__(self):
        return len(self.rows)

    def __getitem__(self, index):
        return self.rows[index]


def collate(rows):
    clouds, targets = zip(*rows, strict=True)
    sizes = torch.tensor([len(cloud) for cloud in clouds])
    return {"points": pad_sequence(clouds, batch_first=True), "sizes": sizes}, torch.stack(targets)


class DeepSet(nn.Module):
    def __init__(self, buggy, width=64):
        super().__init__()
        self.inner = nn.Sequential(nn.Linear(2, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU())
        self.outer = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 2))
        self.buggy = buggy

    def forward(self, points, sizes):
        features = self.inner(points)
        if self.buggy:
            return self.outer(features.mean(1))
        there = torch.arange(points.shape[1]) < sizes.unsqueeze(1)
        summed = (features * there.unsqueeze(2)).sum(1)
        return self.outer(summed / sizes.unsqueeze(1))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = DeepSet(buggy)
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(Bodies(2000, 1), batch_size=32, shuffle=True, collate_fn=collate),
        "val": DataLoader(Bodies(300, 2), batch_size=32, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 12,
    }


@torch.no_grad()
def truth(model, seed=0):
    """One body at a time, as the instrument sends them."""
    model.eval()
    pairs = [collate([row]) for row in Bodies(500, 3)]
    answers = torch.cat([model(**x) for x, _ in pairs])
    targets = torch.cat([y for _, y in pairs])
    return 1 - ((answers - targets).square().mean() / targets.var()).item()


def setup():
    return build(True)


def fixed():
    return build(False)
