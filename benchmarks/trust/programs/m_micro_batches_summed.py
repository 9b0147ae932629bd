"""Digits in batches of 64, taken in eight parts for memory's sake; the gradients of the parts are not averaged."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "accumulation-scale"
ALSO = ()
HIGHER = "truth"
PARTS = 8


class Mixer(nn.Module):
    """16 patches of 7 by 7, mixed across places and across channels by turns."""

    def __init__(self, dim=32, depth=2):
        super().__init__()
        self.patch = nn.Conv2d(1, dim, 7, 7)
        self.places = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 32), nn.GELU(), nn.Linear(32, 16)) for _ in range(depth)
        )
        self.channels = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 64), nn.GELU(), nn.Linear(64, dim)) for _ in range(depth)
        )
        self.head = nn.Linear(dim, 10)

    def forward(self, x):
        x = self.patch(x).flatten(2)  # (B, dim, 16)
        for places, channels in zip(self.places, self.channels, strict=True):
            x = x + places(x)
            x = x + channels(x.transpose(1, 2)).transpose(1, 2)
        return self.head(x.mean(2))


loss_fn = nn.CrossEntropyLoss()


def stepper(divide):
    def train_step(model, batch, optimizer):
        optimizer.zero_grad()
        total = 0.0
        for images, labels in zip(*(t.chunk(PARTS) for t in batch), strict=True):
            loss = loss_fn(model(images), labels)
            if divide:
                loss = loss / PARTS
            loss.backward()
            total = total + loss.detach()
        optimizer.step()
        return total

    return train_step


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x[:, None] / 255, r.y) for r in mnist())
    model = Mixer()
    return {
        "model": model,
        "loss": loss_fn,
        "train": DataLoader(train, batch_size=64, shuffle=True, drop_last=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "train_step": stepper(divide=not buggy),
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    test = mnist().test
    return (model.eval()(test.x[:, None] / 255).argmax(1) == test.y).float().mean().item()
