"""Clothes: one network names them and draws them again, and the loss is a weighted sum of both errors.

Close to `wrong-loss`, `target-leak` and `gradient-cut`: the outputs are a dict, the drawing's target is the input, and
a third output, the code, is in no loss.
"""

import torch
import torch.nn.functional as F
from material import fashion
from torch import nn
from torch.utils.data import DataLoader

BUG = None
NEAR = ("wrong-loss", "target-leak", "gradient-cut")


class NameAndDraw(nn.Module):
    def __init__(self, code=24):
        super().__init__()
        self.encode = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, code))
        self.name = nn.Linear(code, 10)
        self.draw = nn.Sequential(nn.ReLU(), nn.Linear(code, 128), nn.ReLU(), nn.Linear(128, 784))

    def forward(self, x):
        code = self.encode(x)
        return {"logits": self.name(torch.relu(code)), "picture": self.draw(code), "code": code}


def loss(outputs, targets):
    named = F.cross_entropy(outputs["logits"], targets["label"])
    drawn = F.binary_cross_entropy_with_logits(outputs["picture"], targets["picture"])
    return named + 0.5 * drawn


def pairs(rows):
    return [(x, {"label": y, "picture": x}) for x, y in zip(rows.x.flatten(1).float() / 255, rows.y, strict=True)]


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = fashion(2000)
    model = NameAndDraw()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(pairs(train), batch_size=40, shuffle=True),
        "val": DataLoader(pairs(val), batch_size=100),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "epochs": 8,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = fashion(2000).test
    return (model(test.x.flatten(1) / 255)["logits"].argmax(1) == test.y).float().mean().item()
