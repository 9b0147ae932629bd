"""Names pieces of clothing after training on mixtures of two pictures whose targets are mixed and smoothed alike (mixup).

Near: augment-target and label-noise, since no training target is a plain class; loss-input, since cross_entropy gets
probabilities as targets (it takes them); eval-mode, since training accuracy is below validation accuracy."""

import torch
from material import fashion
from torch import nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset, default_collate

BUG = None
NEAR = ("augment-target", "label-noise", "loss-input", "train-val-mismatch")
SIZES = (2000, 500, 1000)


class Mixup:
    """Collates a batch, mixes each row with another by a Beta(0.3, 0.3) share, and one-hot targets with it."""

    def __init__(self, alpha=0.3, smoothing=0.05):
        self.share, self.smoothing = torch.distributions.Beta(alpha, alpha), smoothing

    def __call__(self, rows):
        x, y = default_collate(rows)
        soft = F.one_hot(y, 10).float() * (1 - self.smoothing) + self.smoothing / 10
        share, other = self.share.sample((len(y),)), torch.randperm(len(y))
        share = torch.maximum(share, 1 - share)
        wide = share.view(-1, 1, 1, 1)
        return wide * x + (1 - wide) * x[other], share.unsqueeze(1) * soft + (1 - share).unsqueeze(1) * soft[other]


def rows(part):
    return TensorDataset((part.x.unsqueeze(1).float() - 73) / 90, part.y)


def separable(before, after):
    return nn.Sequential(
        nn.Conv2d(before, before, 3, stride=2, padding=1, groups=before, bias=False), nn.Conv2d(before, after, 1, bias=False),
        nn.BatchNorm2d(after), nn.Hardswish(),
    )  # fmt: skip


def network():
    stem = (nn.Conv2d(1, 16, 5, stride=2, padding=2, bias=False), nn.BatchNorm2d(16), nn.Hardswish())
    return nn.Sequential(
        *stem, separable(16, 48), separable(48, 96), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(384, 10)
    )


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = [model(x).argmax(1) == y for x, y in loader]
    return torch.cat(hits).float().mean().item()


def build(seed=0):
    torch.manual_seed(seed)
    parts = fashion(*SIZES)
    loader = DataLoader(rows(parts.train), batch_size=50, shuffle=True, drop_last=True, collate_fn=Mixup())
    model = network()
    optimizer = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.02)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": loader,
        "val": DataLoader(rows(parts.val), batch_size=250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=8e-3, total_steps=8 * len(loader)),
        "scheduler_step": "batch",
        "evaluate": accuracy,
        "epochs": 8,
    }


def truth(model, seed=0):
    return accuracy(model, DataLoader(rows(fashion(*SIZES).test), batch_size=500))


def fixed():
    return build()
