"""Is a digit odd, and is it over four? One trunk, two heads, trained by turns, batch by batch.

Close to `frozen-parameters` and `gradient-cut`: half of the steps leave one head alone, and the next ones move it.
"""

import torch
from material import digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "gradient-cut")


class TwoHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 32), nn.ReLU())
        self.odd, self.large = nn.Linear(32, 1), nn.Linear(32, 1)

    def forward(self, x):  # (B, 64) -> (B, 2)
        h = self.trunk(x)
        return torch.cat([self.odd(h), self.large(h)], 1)


bce = nn.functional.binary_cross_entropy_with_logits


class ByTurns:
    def __init__(self):
        self.turn = 0

    def __call__(self, model, batch, optimizer):
        x, y = batch
        optimizer.zero_grad()
        error = bce(model(x)[:, self.turn], y[:, self.turn])
        error.backward()
        optimizer.step()
        self.turn = 1 - self.turn
        return error


def questions(rows):
    return TensorDataset(rows.x / 16, torch.stack([rows.y % 2, rows.y > 4], 1).float())


def build(seed=0):
    torch.manual_seed(seed)
    train, val, _ = digits()
    model = TwoHeads()
    return {
        "model": model,
        "loss": bce,
        "train": DataLoader(questions(train), batch_size=20, shuffle=True),
        "val": DataLoader(questions(val), batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9),
        "train_step": ByTurns(),
        "epochs": 15,
    }


def fixed():
    return build()


def truth(model, seed=0):
    x, y = questions(digits().test).tensors
    with torch.no_grad():
        return ((model(x) > 0) == (y > 0.5)).float().mean().item()
