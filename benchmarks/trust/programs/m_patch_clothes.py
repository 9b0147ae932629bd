"""Sorts pictures of clothes with a small vision transformer, AdamW and a one-cycle learning rate.

Bug: the cycle is laid out in batches but stepped once an epoch, so all of the training stays at the warm-up's foot."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
EPOCHS = 12


class Patches(nn.Module):
    """Patches of 7 by 7 as 16 tokens, two encoder layers, mean of the tokens."""

    def __init__(self, width=48, kinds=10):
        super().__init__()
        self.patch = nn.Conv2d(1, width, 7, stride=7)
        self.place = nn.Parameter(0.02 * torch.randn(1, 16, width))
        layer = nn.TransformerEncoderLayer(
            width, 4, 2 * width, dropout=0.1, activation="gelu", batch_first=True, norm_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, kinds)

    def forward(self, x):
        tokens = self.patch(x).flatten(2).transpose(1, 2) + self.place
        return self.head(self.encoder(tokens).mean(1))


def loader(rows, size, shuffle=False):
    x = (rows.x.float()[:, None] / 255 - 0.286) / 0.353
    return DataLoader(TensorDataset(x, rows.y), size, shuffle=shuffle)


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for x, y in loader:
            right += (model(x).argmax(1) == y).sum().item()
            total += len(y)
    return right / total


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model, train = Patches(), loader(parts.train, 40, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.05)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": train,
        "val": loader(parts.val, 250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=3e-3, total_steps=EPOCHS * len(train)),
        "scheduler_step": "epoch" if buggy else "batch",
        "evaluate": accuracy,
        "epochs": EPOCHS,
    }


def truth(model, seed=0):
    return accuracy(model, loader(fashion().test, 250))


def setup():
    return build(True)


def fixed():
    return build(False)
