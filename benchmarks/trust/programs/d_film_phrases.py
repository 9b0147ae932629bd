"""Tells good from bad in phrases of film reviews (SST-2) with a CNN over words of three widths.

Bug: the program's accuracy walks over the training loader of the enclosing function, whatever loader it is given."""

import torch
from material import PAD, sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-on-train"
ALSO = ()
HIGHER = "report"
WORDS, LENGTH = 5000, 20


class WordCNN(nn.Module):
    def __init__(self, width=32, filters=24):
        super().__init__()
        self.words = nn.Embedding(WORDS, width, padding_idx=PAD)
        self.convolutions = nn.ModuleList(nn.Conv1d(width, filters, size, padding=size // 2) for size in (1, 3, 5))
        self.drop = nn.Dropout(0.3)
        self.head = nn.Linear(3 * filters, 2)

    def forward(self, ids):
        real = (ids != PAD).unsqueeze(1)
        words = self.words(ids).transpose(1, 2)
        found = [torch.relu(convolution(words)).mul(real).amax(2) for convolution in self.convolutions]
        return self.head(self.drop(torch.cat(found, 1)))


def share_right(model, loader):
    model.eval()
    with torch.no_grad():
        hits = [model(ids).argmax(1) == good for ids, good in loader]
    return torch.cat(hits).float().mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    parts = sst2(14000, WORDS, LENGTH)
    train_loader = DataLoader(TensorDataset(*parts.train), batch_size=50, shuffle=True)
    val_loader = DataLoader(TensorDataset(*parts.val), batch_size=218)
    model = WordCNN()

    def accuracy(model, loader):
        return share_right(model, train_loader if buggy else loader)

    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": train_loader,
        "val": val_loader,
        "optimizer": torch.optim.AdamW(model.parameters(), lr=2e-3, weight_decay=0.05),
        "evaluate": accuracy,
        "epochs": 3,
    }


def truth(model, seed=0):
    return share_right(model, DataLoader(TensorDataset(*sst2(14000, WORDS, LENGTH).test), batch_size=607))


def setup():
    return build(True)


def fixed():
    return build(False)
