"""Two heads on one trunk, after Fashion-MNIST: which garment, and how much of the picture is inked (a number).

Bug: after a refactoring only the trunk's gradients are cleared before each step; the heads' pile up for ever.
"""

import material
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "stale-gradients"
ALSO = ()
HIGHER = "truth"


class TwoTasks(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(
            nn.Conv2d(1, 12, 3, stride=2, padding=1),
            nn.BatchNorm2d(12),
            nn.ReLU(),
            nn.Conv2d(12, 24, 3, stride=2, padding=1),
            nn.BatchNorm2d(24),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(24 * 49, 64),
            nn.ReLU(),
        )
        self.garment = nn.Linear(64, 10)
        self.ink = nn.Linear(64, 1)

    def forward(self, pictures):
        features = self.trunk(pictures)
        return {"garment": self.garment(features), "ink": self.ink(features).squeeze(1)}


def loss(outputs, targets):
    kind = F.cross_entropy(outputs["garment"], targets["garment"])
    return kind + 0.5 * F.mse_loss(outputs["ink"], targets["ink"])


def collate(rows):
    pictures, garments, inks = (torch.stack(column) for column in zip(*rows, strict=True))
    return pictures, {"garment": garments, "ink": inks}


def rows(part, inks):
    """Pictures, garments, and the share of pixels above a half, standardised by the training rows' mean and deviation."""
    pictures = part.x.float() / 255
    share = (pictures > 0.5).float().mean((1, 2))
    return TensorDataset(((pictures - 0.286) / 0.353)[:, None], part.y, (share - inks[0]) / inks[1])


def _inks(part):
    share = (part.x > 127).float().mean((1, 2))
    return share.mean(), share.std()


@torch.no_grad()
def garment_accuracy(model, loader):
    model.eval()
    hits = sum((model(x)["garment"].argmax(1) == y["garment"]).sum().item() for x, y in loader)
    return hits / len(loader.dataset)


def build(buggy, seed=0):
    parts = material.fashion()
    inks = _inks(parts.train)
    torch.manual_seed(seed)
    model = TwoTasks()

    def train_step(model, batch, optimizer):
        model.train()
        inputs, targets = batch
        if buggy:
            model.trunk.zero_grad()
        else:
            optimizer.zero_grad()
        value = loss(model(inputs), targets)
        value.backward()
        optimizer.step()
        return value.detach()

    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(
            rows(parts.train, inks),
            batch_size=50,
            shuffle=True,
            collate_fn=collate,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(rows(parts.val, inks), batch_size=250, collate_fn=collate),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.02),
        "train_step": train_step,
        "evaluate": garment_accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    parts = material.fashion()
    return garment_accuracy(model, DataLoader(rows(parts.test, _inks(parts.train)), batch_size=250, collate_fn=collate))


def setup():
    return build(True)


def fixed():
    return build(False)
