"""Clothes with log_softmax at the end and NLLLoss, as PyTorch's first example of MNIST has it.

Close to `loss-input`: log-probabilities go into the loss that is made for them.
"""

import torch
import torch.nn as nn
import torch.nn.functional as F
from material import fashion
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("loss-input",)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.fc1 = nn.Linear(320, 50)
        self.fc2 = nn.Linear(50, 10)

    def forward(self, x):
        x = F.relu(F.max_pool2d(self.conv1(x), 2))
        x = F.relu(F.max_pool2d(self.conv2(x), 2))
        x = x.view(-1, 320)
        x = F.relu(self.fc1(x))
        return F.log_softmax(self.fc2(x), dim=1)


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset((r.x[:, None] / 255 - 0.286) / 0.353, r.y) for r in fashion(1500, 400))
    model = Net()
    return {
        "model": model,
        "loss": F.nll_loss,
        "train": DataLoader(train, batch_size=50, shuffle=True),
        "val": DataLoader(val, batch_size=100),
        "optimizer": torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9),
        "epochs": 6,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    test = fashion(1500, 400).test
    return (model((test.x[:, None] / 255 - 0.286) / 0.353).argmax(1) == test.y).float().mean().item()
