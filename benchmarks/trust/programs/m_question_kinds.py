"""What a question asks for, by a small Transformer encoder, with a warm-up and a cosine decay of the learning rate.

Bug: the schedule counts batches, but it is stepped once an epoch, so training ends while the warm-up has hardly begun."""

import math

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "schedule"
ALSO = ("lr-too-low",)
HIGHER = "truth"


class Asker(nn.Module):
    def __init__(self, words=2000, length=16, width=64, classes=6):
        super().__init__()
        self.word = nn.Embedding(words, width, padding_idx=0)
        self.place = nn.Parameter(torch.randn(length, width) * 0.1)
        layer = nn.TransformerEncoderLayer(width, 4, 128, dropout=0.1, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, norm=nn.LayerNorm(width), enable_nested_tensor=False)
        self.head = nn.Linear(width, classes)

    def forward(self, ids):
        hidden = ids == 0
        states = self.encoder(self.word(ids) + self.place, src_key_padding_mask=hidden)
        seen = (~hidden).unsqueeze(2).float()
        return self.head((states * seen).sum(1) / seen.sum(1))


def accuracy(model, batches):
    model.eval()
    with torch.no_grad():
        hits = [model(x).argmax(1) == y for x, y in batches]
    return float(torch.cat(hits).float().mean())


def warmed_cosine(warm, total):
    def factor(step):
        if step < warm:
            return (step + 1) / warm
        return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - warm) / (total - warm))))

    return factor


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec()
    model = Asker()
    epochs = 5
    train = DataLoader(TensorDataset(*parts.train), batch_size=64, shuffle=True)
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.01)
    schedule = warmed_cosine(warm=len(train), total=epochs * len(train))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "optimizer": optimizer,
        "scheduler": torch.optim.lr_scheduler.LambdaLR(optimizer, schedule),
        "scheduler_step": "epoch" if buggy else "batch",
        "train": train,
        "val": DataLoader(TensorDataset(*parts.val), batch_size=256),
        "evaluate": accuracy,
        "epochs": epochs,
    }


def truth(model, seed=0):
    test = trec().test
    return accuracy(model, [(test.x, test.y)])


def setup():
    return build(True)


def fixed():
    return build(False)
