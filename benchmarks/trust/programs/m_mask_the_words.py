"""What a question asks for, by the mean of its word vectors; the mask keeps the padding and drops the words."""

import torch
import torch.nn as nn
from material import PAD, trec
from torch.utils.data import DataLoader, TensorDataset

BUG = "input-ignored"
ALSO = ()
HIGHER = "truth"


class MeanOfWords(nn.Module):
    """ids (B, T) -> logits (B, 6)"""

    def __init__(self, vocab_size, dim=64, n_classes=6, invert=False):
        super().__init__()
        self.embed = nn.Embedding(vocab_size, dim)
        self.position = nn.Embedding(64, dim)
        self.norm = nn.LayerNorm(dim)
        self.ff = nn.Sequential(nn.Linear(dim, dim), nn.GELU(), nn.Linear(dim, n_classes))
        self.invert = invert

    def forward(self, ids):
        keep = ids == PAD if self.invert else ids != PAD
        x = self.embed(ids) + self.position(torch.arange(ids.shape[1]))
        x = x.masked_fill(~keep.unsqueeze(-1), 0.0)
        mean = x.sum(dim=1) / keep.sum(dim=1, keepdim=True).clamp(min=1)
        return self.ff(self.norm(mean))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = trec(length=36)
    model = MeanOfWords(2000, invert=buggy)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(train.x, train.y), batch_size=32, shuffle=True),
        "val": DataLoader(TensorDataset(val.x, val.y), batch_size=128),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1e-3, weight_decay=0.01),
        "epochs": 4,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    test = trec(length=36).test
    return model.eval()(test.x).argmax(1).eq(test.y).float().mean().item()
