"""Spoken digits by a 1-D CNN; the rate falls to zero along a cosine, epoch by epoch; labels are smoothed.

Close to `schedule`, `lr-too-low` and `loss-clipped`: the last epochs move next to nothing, and the loss has a floor.
"""

import torch
from material import fsdd
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("schedule", "lr-too-low", "loss-clipped")
EPOCHS = 10


class Bands(nn.Module):
    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv1d(43, 48, 5, padding=2),
            nn.BatchNorm1d(48),
            nn.ReLU(),
            nn.MaxPool1d(2),
            nn.Conv1d(48, 48, 5, padding=2),
            nn.BatchNorm1d(48),
            nn.ReLU(),
        )
        self.classify = nn.Linear(48, 10)

    def forward(self, spectrum):  # (B, T, 43)
        return self.classify(self.features(spectrum.transpose(1, 2)).amax(2))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = fsdd()
    mean, std = train.x.mean((0, 1)), train.x.std((0, 1))
    model = Bands()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, nesterov=True)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.1),
        "train": DataLoader(TensorDataset((train.x - mean) / std, train.y), batch_size=45, shuffle=True),
        "val": DataLoader(TensorDataset((val.x - mean) / std, val.y), batch_size=100),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, EPOCHS),
        "scheduler_step": "epoch",
        "epochs": EPOCHS,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    train, _, test = fsdd()
    x = (test.x - train.x.mean((0, 1))) / train.x.std((0, 1))
    return (model.eval()(x).argmax(1) == test.y).float().mean().item()
