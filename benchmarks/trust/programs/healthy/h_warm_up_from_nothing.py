"""What a question asks for, by a Transformer; the rate begins at exactly zero, rises, and ends at zero by a cosine.

Close to `schedule` and `lr-too-low`: the first step moves nothing and the last ones hardly anything, as planned.
"""

import math

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("schedule", "lr-too-low")


class Asker(nn.Module):
    def __init__(self, words=2000, dim=48, length=16):
        super().__init__()
        self.words = nn.Embedding(words, dim)
        self.places = nn.Parameter(torch.randn(length, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, 4, 96, dropout=0.1, batch_first=True, norm_first=True)
        self.body = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, 6))

    def forward(self, ids):  # (B, T)
        padding = ids == 0
        h = self.body(self.words(ids) + self.places, src_key_padding_mask=padding)
        keep = (~padding).unsqueeze(2)
        return self.out((h * keep).sum(1) / keep.sum(1).clamp(min=1))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    model = Asker()
    loader = DataLoader(TensorDataset(train.x[:2400], train.y[:2400]), batch_size=40, shuffle=True)
    steps, warm = 5 * len(loader), 40
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)

    def factor(step):
        return step / warm if step < warm else (1 + math.cos(math.pi * (step - warm) / (steps - warm))) / 2

    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": loader,
        "val": DataLoader(TensorDataset(val.x, val.y), batch_size=200),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, factor),
        "scheduler_step": "batch",
        "epochs": 5,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    return (model.eval()(x).argmax(1) == y).float().mean().item()
