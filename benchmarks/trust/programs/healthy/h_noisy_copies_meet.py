"""Pictures and their noisy, shifted copies find each other: contrastive, the rest of the batch as negatives."""

import torch
import torch.nn.functional as F
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = None
NEAR = ("batch-mixing",)


def view(img, g=None):
    dx, dy = torch.randint(-3, 4, (2,), generator=g).tolist()
    return torch.roll(img, (dy, dx), (1, 2)) + 0.3 * torch.randn(img.shape, generator=g)


class Views(Dataset):
    def __init__(self, x, fixed_seed=None):
        self.x = ((x.float() / 255 - 0.13) / 0.31)[:, None]
        if fixed_seed is not None:
            g = torch.Generator().manual_seed(fixed_seed)
            self.rows = [(view(i, g), view(i, g)) for i in self.x]
        else:
            self.rows = None

    def __len__(self):
        return len(self.x)

    def __getitem__(self, i):
        pair = self.rows[i] if self.rows else (view(self.x[i]), view(self.x[i]))
        return pair, i


class TwoViews(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Sequential(
            nn.Conv2d(1, 16, 5, stride=2, padding=2),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, stride=2, padding=1),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(32 * 49, 48),
        )
        self.scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, a, b):
        a, b = (F.normalize(self.enc(t), dim=1) for t in (a, b))
        return self.scale.exp() * a @ b.T


def info_nce(scores, _):
    own = torch.arange(len(scores))
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


@torch.no_grad()
def recall(model, loader):
    """How often the own partner comes first among 100."""
    model.eval()
    hits = [(model(*pair).argmax(1) == torch.arange(len(i))).float() for pair, i in loader]
    return torch.cat(hits).mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = mnist(1200, 200, 400)
    net = TwoViews()
    return {
        "model": net,
        "loss": info_nce,
        "train": DataLoader(Views(parts.train.x), batch_size=64, shuffle=True, drop_last=True),
        "val": DataLoader(Views(parts.val.x, 1), batch_size=100),
        "optimizer": torch.optim.Adam(net.parameters(), lr=1e-3),
        "evaluate": recall,
        "epochs": 3,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    return recall(model, DataLoader(Views(mnist(1200, 200, 400).test.x, 2), batch_size=100))
