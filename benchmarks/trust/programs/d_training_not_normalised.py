"""A small convolutional net on Fashion-MNIST with shifted training pictures.

Bug: the training transform leaves out the mean and deviation that the validation transform subtracts and divides by."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, Dataset

BUG = "train-val-mismatch"
ALSO = ()
HIGHER = "truth"
MEAN, STD = 0.286, 0.353


class Clothes(Dataset):
    def __init__(self, x, y, transform):
        self.x, self.y, self.transform = x, y, transform

    def __len__(self):
        return len(self.y)

    def __getitem__(self, i):
        return self.transform(self.x[i]), self.y[i]


def to_float(img):
    return img[None].float() / 255


def shift(img):
    dx, dy = torch.randint(-1, 2, (2,)).tolist()
    return torch.roll(img, (dy, dx), (1, 2))


def normalize(img):
    return (img - MEAN) / STD


def compose(*steps):
    def run(img):
        for s in steps:
            img = s(img)
        return img

    return run


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion(2000, 500, 1000)
    train_tf = compose(to_float, shift) if buggy else compose(to_float, shift, normalize)
    val_tf = compose(to_float, normalize)
    net = nn.Sequential(
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
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(Clothes(*parts.train, train_tf), batch_size=50, shuffle=True),
        "val": DataLoader(Clothes(*parts.val, val_tf), batch_size=250),
        "optimizer": torch.optim.Adam(net.parameters(), lr=1e-3),
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    x, y = fashion(2000, 500, 1000).test
    return (model(normalize(x[:, None].float() / 255)).argmax(1) == y).float().mean().item()
