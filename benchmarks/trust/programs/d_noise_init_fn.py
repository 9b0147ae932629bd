"""Digits with NumPy noise and shifts as augmentation; the bug: worker_init_fn seeds all workers by 0 in every epoch."""

import numpy as np
import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, Dataset, TensorDataset

BUG = "worker-seeds"
ALSO = ()
HIGHER = "truth"


class Shaken(Dataset):
    """A few labelled digits; each look at one is shifted and noisy."""

    def __init__(self, x, y):
        self.x, self.y = x.view(-1, 8, 8).numpy() / 16, y

    def __len__(self):
        return 4 * len(self.y)

    def __getitem__(self, index):
        index = index % len(self.y)
        image = np.roll(self.x[index], np.random.randint(-2, 3, size=2), (0, 1))
        image = image * np.random.uniform(0.5, 1.5) + np.random.normal(0, 0.3, (8, 8))
        return torch.from_numpy(image).float(), self.y[index]


def shifted(rows, seed):
    """What comes in at serving: digits that are not centred."""
    rng = np.random.default_rng(seed)
    x = rows.x.view(-1, 8, 8) / 16
    moves = rng.integers(-2, 3, size=(len(x), 2)).tolist()
    return torch.stack([image.roll(tuple(move), (0, 1)) for image, move in zip(x, moves, strict=True)]), rows.y


def seed_worker(worker_id):
    np.random.seed(0)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = digits()
    data = Shaken(train.x[:160], train.y[:160])
    model = nn.Sequential(nn.Flatten(), nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 64), nn.ReLU(), nn.Linear(64, 10))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(data, 32, num_workers=2, worker_init_fn=seed_worker if buggy else None),
        "val": DataLoader(TensorDataset(*shifted(val, 1)), 100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 25,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = shifted(digits().test, 2)
    with torch.no_grad():
        return (model(x).argmax(1) == y).float().mean().item()
