"""Features of digits without their labels: two views of a picture predict each other (SimSiam).

Close to `gradient-cut`, `constant-init` and `batch-mixing`: one side of the loss is detached on purpose (Chen and He
2021, "Exploring simple siamese representation learning"), and BatchNorm keeps the features apart.
"""

import torch
import torch.nn.functional as F
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("gradient-cut", "batch-mixing")


class SimSiam(nn.Module):
    def __init__(self, dim=32):
        super().__init__()
        self.encoder = nn.Sequential(
            nn.Linear(64, 96), nn.BatchNorm1d(96), nn.ReLU(), nn.Linear(96, dim), nn.BatchNorm1d(dim, affine=False)
        )
        self.predictor = nn.Sequential(nn.Linear(dim, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, dim))

    def forward(self, a, b):
        za, zb = self.encoder(a), self.encoder(b)
        return self.predictor(za), self.predictor(zb), za.detach(), zb.detach()


def agreement(outputs, _):
    pa, pb, za, zb = outputs
    return -(F.cosine_similarity(pa, zb).mean() + F.cosine_similarity(pb, za).mean()) / 2


def views(rows):
    """Two noisy views of each picture, moved by up to a pixel; the labels ride along for the loader's sake."""
    pictures, labels = (torch.stack(side) for side in zip(*rows, strict=True))

    def view():
        up, left = torch.randint(-1, 2, (2,)).tolist()
        x = pictures.reshape(-1, 8, 8).roll((up, left), (1, 2)).flatten(1)
        return x + 0.15 * torch.randn_like(x)

    return (view(), view()), labels


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x / 16, r.y) for r in digits())
    model = SimSiam()
    return {
        "model": model,
        "loss": agreement,
        "train": DataLoader(train, batch_size=60, shuffle=True, drop_last=True, collate_fn=views),
        "val": DataLoader(val, batch_size=60, collate_fn=views),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4),
        "epochs": 40,
    }


def fixed():
    return build()


@torch.no_grad()
def truth(model, seed=0):
    """Is the nearest training picture, by cosine of the features, of the same digit?"""
    train, _, test = digits()
    model.eval()
    known, asked = (F.normalize(model.encoder(rows.x / 16), dim=1) for rows in (train, test))
    return (train.y[(asked @ known.T).argmax(1)] == test.y).float().mean().item()
