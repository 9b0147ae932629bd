"""A small vision transformer reads handwritten digits as 16 patches of 7 by 7 with learned positions.

Bug: the positions are a tensor that asks for gradients but is no Parameter, so no optimizer ever moves them."""

import torch
from material import mnist
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "unregistered-parameters"
ALSO = ("optimizer-missing-parameters",)
HIGHER = "truth"


class PatchReader(nn.Module):
    def __init__(self, registered=True, width=48, depth=2):
        super().__init__()
        self.patches = nn.Conv2d(1, width, 7, stride=7)
        if registered:
            self.positions = nn.Parameter(torch.zeros(1, 16, width))
        else:
            self.positions = torch.zeros(1, 16, width, requires_grad=True)
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, depth, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, 10)

    def forward(self, pictures):
        tokens = self.patches(pictures).flatten(2).transpose(1, 2)
        return self.head(self.encoder(tokens + self.positions).mean(1))


def scaled(pictures):
    return (pictures.float().unsqueeze(1) / 255 - 0.1307) / 0.3081


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = rows = 0
    for x, y in loader:
        right += (model(x).argmax(1) == y).sum().item()
        rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = mnist(3000)
    model = PatchReader(registered=not buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(
            TensorDataset(scaled(parts.train.x), parts.train.y),
            batch_size=32,
            shuffle=True,
            generator=torch.Generator().manual_seed(seed),
        ),
        "val": DataLoader(TensorDataset(scaled(parts.val.x), parts.val.y), batch_size=250),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01),
        "evaluate": evaluate,
        "epochs": 8,
    }


def truth(model, seed=0):
    test = mnist(3000).test
    return evaluate(model, DataLoader(TensorDataset(scaled(test.x), test.y), batch_size=250))


def setup():
    return build(True)


def fixed():
    return build(False)
