"""Clothes by a convolutional network set up for fine-tuning: body frozen, although no weights were ever loaded."""

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "frozen-parameters"
ALSO = ()
HIGHER = "truth"


def conv(inward, outward):
    return nn.Sequential(nn.Conv2d(inward, outward, 3, 2, 1, bias=False), nn.BatchNorm2d(outward), nn.ReLU())


class SmallNet(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(conv(1, 8), conv(8, 16), conv(16, 16), conv(16, 16))
        self.classifier = nn.Linear(16, 10)

    def forward(self, x):
        x = self.features(x)
        return self.classifier(x.mean(dim=(2, 3)))


def loaders(seed):
    parts = fashion()
    train, val, test = (TensorDataset(p.x[:, None].float() / 255, p.y) for p in parts)
    order = torch.Generator().manual_seed(seed)
    return (
        DataLoader(train, 64, shuffle=True, generator=order),
        DataLoader(val, 250),
        DataLoader(test, 250),
    )


def build(buggy, seed=0):
    torch.manual_seed(seed)
    model = SmallNet()
    if buggy:
        for parameter in model.features.parameters():
            parameter.requires_grad = False
    trainable = [p for p in model.parameters() if p.requires_grad]
    train, val, _ = loaders(seed)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": train,
        "val": val,
        "optimizer": torch.optim.AdamW(trainable, lr=5e-3),
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    model.eval()
    hits = [model(x).argmax(1) == y for x, y in loaders(seed)[2]]
    return torch.cat(hits).float().mean().item()
