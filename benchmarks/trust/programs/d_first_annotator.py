"""A CNN for clothes, trained on labels that seven crowd workers gave to each picture.

Bug: the column of the first worker is taken as the label, instead of the vote of all seven."""

import material
import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "label-noise"
ALSO = ()
HIGHER = "truth"


def crowd(gold):
    """What seven workers of different care said; a wrong answer is any other class."""
    rng = np.random.default_rng(11)
    care = [0.58, 0.74, 0.81, 0.77, 0.72, 0.84, 0.7]
    wrong = (gold.numpy()[:, None] + rng.integers(1, 10, (len(gold), 7))) % 10
    said = np.where(rng.random((len(gold), 7)) < care, gold.numpy()[:, None], wrong)
    return torch.from_numpy(said)


def scale(x):
    return (x.float()[:, None] / 255 - 0.286) / 0.353


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    hits = [(model(x).argmax(1) == y).float() for x, y in loader]
    return torch.cat(hits).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = material.fashion(2000, 500, 1000)
    answers = crowd(parts.train.y)
    labels = answers[:, 0] if buggy else answers.mode(dim=1).values
    train = TensorDataset(scale(parts.train.x), labels)
    val = TensorDataset(scale(parts.val.x), parts.val.y)
    model = nn.Sequential(
        nn.Conv2d(1, 16, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(32 * 49, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(train, 32, shuffle=True),
        "val": DataLoader(val, 250),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-3),
        "evaluate": evaluate,
        "epochs": 8,
    }


def truth(model, seed=0):
    test = material.fashion(2000, 500, 1000).test
    return evaluate(model, [(scale(test.x), test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
