"""One trunk, two heads: which digit, and how much ink; a step of its own clears the gradients part by part.

Bug: the parts to be cleared were listed before the ink head was added, so its gradients pile up from step to step."""

import torch
from material import digits
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 16, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(16, 32, 3, padding=1, stride=2),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(512, 64),
            nn.ReLU(),
        )
        self.digit = nn.Linear(64, 10)
        self.ink = nn.Linear(64, 1)

    def forward(self, pictures):
        x = self.trunk(pictures)
        return {"digit": self.digit(x), "ink": self.ink(x).squeeze(1)}


def prepared(rows, known):
    """Pictures of 8 by 8 in 0..1, and their digit and ink; the ink measured against the training pictures."""
    ink, all_ink = rows.x.sum(1), known.x.sum(1)
    return rows.x.view(-1, 1, 8, 8) / 16, rows.y, (ink - all_ink.mean()) / all_ink.std()


def loss(outputs, targets):
    return F.cross_entropy(outputs["digit"], targets["digit"]) + F.mse_loss(outputs["ink"], targets["ink"])


def collate(rows):
    pictures, digit, ink = (torch.stack(column) for column in zip(*rows, strict=True))
    return pictures, {"digit": digit, "ink": ink}


@torch.no_grad()
def evaluate(model, loader):
    """The mean of the digits' accuracy and the ink's R²."""
    model.eval()
    right, found, known = [], [], []
    for pictures, targets in loader:
        outputs = model(pictures)
        right.append(outputs["digit"].argmax(1) == targets["digit"])
        found.append(outputs["ink"])
        known.append(targets["ink"])
    found, known = torch.cat(found), torch.cat(known)
    r2 = 1 - ((found - known) ** 2).mean() / known.var(correction=0)
    return 0.5 * (torch.cat(right).float().mean() + r2).item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = digits()
    model = TwoHeads()
    cleared = [model.trunk, model.digit] if buggy else [model.trunk, model.digit, model.ink]

    def train_step(model, batch, optimizer):
        model.train()
        for part in cleared:
            part.zero_grad()
        pictures, targets = batch
        value = loss(model(pictures), targets)
        value.backward()
        optimizer.step()
        return value.detach()

    train, val = (TensorDataset(*prepared(rows, parts.train)) for rows in (parts.train, parts.val))
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(train, 30, shuffle=True, collate_fn=collate, generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(val, 100, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "train_step": train_step,
        "evaluate": evaluate,
        "epochs": 15,
    }


def truth(model, seed=0):
    parts = digits()
    return evaluate(model, DataLoader(TensorDataset(*prepared(parts.test, parts.train)), 200, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
