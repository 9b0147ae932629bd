"""Is a seismic window a quake (4 % of windows) or noise? A CNN with a balanced sampler for training, judged by mean recall.

Near: class imbalance, and a validation set whose share of quakes is unlike that of the training batches: the sampler
balances training batches alone, while validation keeps the true share and a metric that does not depend on it."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset, WeightedRandomSampler

BUG = None
NEAR = ("class-imbalance", "train-val-mismatch", "output-bias", "split-overlap")

SAMPLES = 96


def windows(count, seed, share=0.04):
    g = torch.Generator().manual_seed(seed)
    quake = (torch.rand(count, generator=g) < share).long()
    t = torch.arange(SAMPLES, dtype=torch.float32)
    noise = torch.randn(count, SAMPLES + 4, generator=g).unfold(1, 5, 1).mean(2) * 5**0.5
    onset = 10 + 50 * torch.rand(count, 1, generator=g)
    after = (t - onset).clamp(min=0)
    burst = (after > 0) * torch.exp(-after / 12) * torch.sin(after * 1.3)
    size = 1.6 + 1.5 * torch.rand(count, 1, generator=g)
    return (noise + quake[:, None] * size * burst)[:, None], quake


def net(width=16):
    return nn.Sequential(
        nn.Conv1d(1, width, 9, padding=4), nn.ReLU(), nn.MaxPool1d(2),
        nn.Conv1d(width, width, 9, padding=4), nn.ReLU(), nn.AdaptiveMaxPool1d(1), nn.Flatten(), nn.Linear(width, 2),
    )  # fmt: skip


def mean_recall(model, loader):
    model.eval()
    with torch.no_grad():
        pairs = [(model(x).argmax(1), y) for x, y in loader]
    found, y = (torch.cat(part) for part in zip(*pairs, strict=True))
    return float(torch.stack([(found[y == kind] == kind).float().mean() for kind in (0, 1)]).mean())


def build(seed=0):
    torch.manual_seed(seed)
    model = net()
    train, val = TensorDataset(*windows(3000, 1)), TensorDataset(*windows(1500, 2))
    share = torch.bincount(train.tensors[1]).float()
    sampler = WeightedRandomSampler(1 / share[train.tensors[1]], 2000, generator=torch.Generator().manual_seed(seed))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, batch_size=40, sampler=sampler),
        "val": DataLoader(val, batch_size=300),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": mean_recall,
        "epochs": 8,
    }


def truth(model, seed=0):
    return mean_recall(model, DataLoader(TensorDataset(*windows(4000, 3)), batch_size=500))


def fixed():
    return build()
