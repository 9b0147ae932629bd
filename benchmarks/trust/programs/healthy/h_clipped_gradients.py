"""Spoken digits by an LSTM, the gradient's norm clipped to 0.5: at first every single step is clipped.

Close to `loss-clipped` and `lr-too-low`: the gradient is clipped, as it should be, and never the loss.
"""

import torch
from material import fsdd
from torch import nn
from torch.nn.utils import clip_grad_norm_
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-clipped", "lr-too-low")


class Listener(nn.Module):
    def __init__(self):
        super().__init__()
        self.lstm = nn.LSTM(43, 48, batch_first=True)
        self.out = nn.Linear(48, 10)

    def forward(self, x):  # (B, T, 43)
        return self.out(self.lstm(x)[0].mean(1))


criterion = nn.CrossEntropyLoss()


def train_step(model, batch, optimizer):
    x, y = batch
    optimizer.zero_grad()
    loss = criterion(model(x), y)
    loss.backward()
    clip_grad_norm_(model.parameters(), 0.5)
    optimizer.step()
    return loss


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset((r.x + 6) / 4, r.y) for r in fsdd())
    model = Listener()
    return {
        "model": model,
        "loss": criterion,
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.3, momentum=0.9),
        "train_step": train_step,
        "epochs": 15,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = fsdd().test
    return (model.eval()((test.x + 6) / 4).argmax(1) == test.y).float().mean().item()
