"""A tiny vision Transformer with a convolutional stem on MNIST (research repo style), trained from scratch.

Bug: the encoder layers keep their default layout, (sequence, batch, features), and are handed (batch, sequence, features).
"""

import itertools

import material
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"


class ConvStem(nn.Module):
    """28 by 28 pixels to 16 tokens ("early convolutions help Transformers see better"), with a class token before them."""

    def __init__(self, dim):
        super().__init__()
        widths = (1, 16, 32, dim)
        layers = []
        for inside, outside in itertools.pairwise(widths):
            layers += [
                nn.Conv2d(inside, outside, 3, stride=2, padding=1, bias=False),
                nn.BatchNorm2d(outside),
                nn.ReLU(),
            ]
        self.layers = nn.Sequential(*layers, nn.Conv2d(dim, dim, 1))
        self.cls = nn.Parameter(0.02 * torch.randn(1, 1, dim))
        self.position = nn.Parameter(0.02 * torch.randn(1, 17, dim))

    def forward(self, x):
        tokens = self.layers(x).flatten(2).transpose(1, 2)
        return torch.cat([self.cls.expand(len(x), -1, -1), tokens], dim=1) + self.position


class ViT(nn.Module):
    def __init__(self, dim=48, heads=4, depth=2, classes=10, **layer):
        super().__init__()
        self.embed = ConvStem(dim)
        block = nn.TransformerEncoderLayer(
            dim, heads, 2 * dim, dropout=0.1, activation="gelu", norm_first=True, **layer
        )
        self.encoder = nn.TransformerEncoder(block, depth, norm=nn.LayerNorm(dim), enable_nested_tensor=False)
        self.head = nn.Linear(dim, classes)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x))[:, 0])


def rows(part):
    return TensorDataset((part.x.float()[:, None] / 255 - 0.1307) / 0.3081, part.y)


@torch.no_grad()
def top1(model, loader):
    model.eval()
    hits = sum((model(x).argmax(-1) == y).sum().item() for x, y in loader)
    return hits / len(loader.dataset)


def build(buggy, seed=0):
    parts = material.mnist()
    torch.manual_seed(seed)
    model = ViT() if buggy else ViT(batch_first=True)
    epochs, batch = 8, 50
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            rows(parts.train), batch_size=batch, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(rows(parts.val), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 2e-3, total_steps=epochs * len(parts.train.x) // batch, pct_start=0.2
        ),
        "scheduler_step": "batch",
        "evaluate": top1,
        "epochs": epochs,
    }


def truth(model, seed=0):
    return top1(model, DataLoader(rows(material.mnist().test), batch_size=100))


def setup():
    return build(True)


def fixed():
    return build(False)
