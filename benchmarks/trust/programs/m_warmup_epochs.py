"""An MLP-Mixer sorts pictures of clothes; the learning rate warms up over 60 steps and then falls along a cosine.

Bug: the schedule counts optimizer steps, but it is stepped once an epoch, so the warm-up hardly begins."""

import math

import torch
from material import fashion
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"
EPOCHS, BATCH, WARM = 8, 50, 60


class Mixer(nn.Module):
    def __init__(self, patches=16, width=64, depth=2):
        super().__init__()
        self.stem = nn.Conv2d(1, width, 7, stride=7)
        self.token_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.tokens = nn.ModuleList(self.mlp(patches, 32) for _ in range(depth))
        self.channel_norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(depth))
        self.channels = nn.ModuleList(self.mlp(width, 128) for _ in range(depth))
        self.head = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 10))

    @staticmethod
    def mlp(width, hidden):
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    def forward(self, pictures):
        x = self.stem(pictures).flatten(2).transpose(1, 2)
        for norm, tokens, norm2, channels in zip(
            self.token_norms, self.tokens, self.channel_norms, self.channels, strict=True
        ):
            x = x + tokens(norm(x).transpose(1, 2)).transpose(1, 2)
            x = x + channels(norm2(x))
        return self.head(x.mean(1))


def scaled(pictures):
    return (pictures.float().unsqueeze(1) / 255 - 0.286) / 0.353


@torch.no_grad()
def evaluate(model, loader):
    model.eval()
    right = rows = 0
    for x, y in loader:
        right += (model(x).argmax(1) == y).sum().item()
        rows += len(y)
    return right / rows


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = fashion()
    model = Mixer()
    train = DataLoader(
        TensorDataset(scaled(parts.train.x), parts.train.y),
        batch_size=BATCH,
        shuffle=True,
        generator=torch.Generator().manual_seed(seed),
    )
    steps = EPOCHS * len(train)

    def factor(step):
        if step < WARM:
            return (step + 1) / WARM
        return 0.5 * (1 + math.cos(math.pi * (step - WARM) / (steps - WARM)))

    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=0.01)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train,
        "val": DataLoader(TensorDataset(scaled(parts.val.x), parts.val.y), batch_size=250),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor),
        "scheduler_step": "epoch" if buggy else "batch",
        "evaluate": evaluate,
        "epochs": EPOCHS,
    }


def truth(model, seed=0):
    test = fashion().test
    return evaluate(model, DataLoader(TensorDataset(scaled(test.x), test.y), batch_size=250))


def setup():
    return build(True)


def fixed():
    return build(False)
