"""A convolution over words says what a question asks for, with dropout on words and on features.

Bug: F.dropout is called without training=self.training, so it stays on when the model is asked in eval mode."""

import torch
import torch.nn.functional as F
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "eval-mode"
ALSO = ()
HIGHER = "truth"


class TextCNN(nn.Module):
    def __init__(self, buggy):
        super().__init__()
        self.buggy = buggy
        self.emb = nn.Embedding(2000, 48, padding_idx=0)
        self.convs = nn.ModuleList(nn.Conv1d(48, 32, k, padding=k // 2) for k in (1, 3, 5))
        self.fc = nn.Linear(96, 6)

    def drop(self, x):
        return F.dropout(x, 0.5) if self.buggy else F.dropout(x, 0.5, training=self.training)

    def forward(self, x):
        keep = (x > 0).unsqueeze(1)
        e = self.drop(self.emb(x)).transpose(1, 2)
        maps = [F.relu(conv(e)).masked_fill(~keep, 0).amax(2) for conv in self.convs]
        return self.fc(self.drop(torch.cat(maps, 1)))


def accuracy(model, loader):
    model.eval()
    with torch.no_grad():
        return torch.cat([(model(x).argmax(1) == y).float() for x, y in loader]).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = trec(2000, 18)
    net = TextCNN(buggy)
    return {
        "model": net,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=200),
        "optimizer": torch.optim.AdamW(net.parameters(), lr=4e-3),
        "evaluate": accuracy,
        "epochs": 3,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    torch.manual_seed(seed)
    return accuracy(model, DataLoader(TensorDataset(*trec(2000, 18).test), batch_size=250))
