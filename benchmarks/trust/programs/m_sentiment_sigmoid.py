"""A bag of word vectors tells praise from blame; the network ends in a sigmoid and the loss takes logits."""

import torch
import torch.nn.functional as F
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"


class Sentiment(nn.Module):
    def __init__(self, words, squash):
        super().__init__()
        self.words = nn.EmbeddingBag(words, 32, mode="mean", padding_idx=0)
        self.hidden = nn.Linear(32, 32)
        self.out = nn.Linear(32, 1)
        self.squash = squash

    def forward(self, ids):
        h = F.relu(self.hidden(self.words(ids)))
        score = self.out(h).squeeze(1)
        return torch.sigmoid(score) if self.squash else score


def accuracy(model, loader):
    model.eval()
    right = seen = 0
    with torch.no_grad():
        for ids, labels in loader:
            said = torch.sigmoid(model(ids)) > 0.5
            right += (said == labels.bool()).sum().item()
            seen += len(labels)
    model.train()
    return right / seen


def loader(rows, shuffle=False):
    return DataLoader(TensorDataset(rows.x, rows.y.float()), batch_size=64, shuffle=shuffle)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = sst2()
    model = Sentiment(words=3000, squash=buggy)
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": loader(data.train, shuffle=True),
        "val": loader(data.val),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 5,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return accuracy(model, loader(sst2().test))
