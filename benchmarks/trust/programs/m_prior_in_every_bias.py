"""Is there a short chirp in a noisy trace? Rare, so the head starts at the prior chance, as RetinaNet's does.

Bug: the prior is put into the bias of every layer and not of the last alone; nothing ever passes a ReLU."""

import math

import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "dead-units"
ALSO = ()
HIGHER = "truth"
PRIOR = 0.08


class Traces(Dataset):
    def __init__(self, rows, seed):
        g = torch.Generator().manual_seed(seed)
        time = torch.arange(128.0)
        self.y = (torch.rand(rows, generator=g) < PRIOR).float()
        middle = 24 + 80 * torch.rand(rows, 1, generator=g)
        rate = 0.25 + 0.1 * torch.rand(rows, 1, generator=g)
        ahead = time - middle
        chirp = torch.exp(-((ahead / 9) ** 2)) * torch.cos(6.28 * (rate * ahead + 0.004 * ahead**2))
        decoy = torch.exp(-((ahead / 9) ** 2)) * torch.cos(6.28 * (rate * ahead - 0.004 * ahead**2))
        sign = self.y[:, None]
        self.x = (1.7 * (sign * chirp + (1 - sign) * decoy) + 0.8 * torch.randn(rows, 128, generator=g))[:, None]

    def __len__(self):
        return len(self.y)

    def __getitem__(self, row):
        return self.x[row], self.y[row]


class Detector(nn.Module):
    def __init__(self, buggy):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv1d(1, 24, 15, padding=7),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(24, 24, 9, padding=4),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(24, 32, 5, padding=2),
            nn.ReLU(),
            nn.AdaptiveMaxPool1d(1),
            nn.Flatten(),
        )
        self.head = nn.Linear(32, 1)
        prior = math.log(PRIOR / (1 - PRIOR))
        if buggy:
            for module in self.modules():
                if isinstance(module, (nn.Conv1d, nn.Linear)):
                    nn.init.constant_(module.bias, prior)
        else:
            nn.init.constant_(self.head.bias, prior)

    def forward(self, x):
        return self.head(self.trunk(x))[:, 0]


def area(model, loader):
    """Area under the ROC curve."""
    model.eval()
    with torch.no_grad():
        score = torch.cat([model(x) for x, _ in loader])
    y = torch.cat([y for _, y in loader])
    above = score[y == 1][:, None] - score[y == 0][None]
    return ((above > 0).float() + 0.5 * (above == 0).float()).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = Detector(buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(Traces(2000, 31), batch_size=32, shuffle=True),
        "val": DataLoader(Traces(400, 32), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": area,
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return area(model, DataLoader(Traces(1500, 33), batch_size=300))
