"""Which of six things does a question ask for (TREC)? A bag of embeddings with word dropout and label smoothing.

Near: whole words are struck out (30 %) and so is half of the hidden layer, so training loss stays above validation loss;
label smoothing keeps the loss from zero; the padding's embedding is zero for good and is left out of the mean."""

import torch
from material import PAD, UNKNOWN, trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("label-noise", "padding-leak", "eval-mode", "frozen-parameters", "train-val-mismatch", "dead-units")

WORDS = 2000


class Questions(nn.Module):
    def __init__(self, width=64, struck=0.3):
        super().__init__()
        self.words = nn.Embedding(WORDS, width, padding_idx=PAD)
        self.pairs = nn.Conv1d(width, width, 2)
        self.hidden = nn.Sequential(
            nn.Dropout(0.5), nn.Linear(3 * width, 64), nn.ReLU(), nn.Dropout(0.5), nn.Linear(64, 6)
        )
        self.struck = struck

    def forward(self, ids):
        seen = ids != PAD
        if self.training:
            ids = torch.where(seen & (torch.rand(ids.shape) < self.struck), UNKNOWN, ids)
        h = self.words(ids)
        mean = (h * seen[..., None]).sum(1) / seen.sum(1, keepdim=True).clamp(min=1)
        pair = torch.relu(self.pairs(h.transpose(1, 2)))
        best = (pair * seen[:, None, 1:]).amax(2)  # a pair counts if its second word is one
        return self.hidden(torch.cat([mean, best, h[:, 0]], 1))


def accuracy(model, loader):
    model.eval()
    right = total = 0
    with torch.no_grad():
        for ids, kind in loader:
            right += int((model(ids).argmax(1) == kind).sum())
            total += len(kind)
    return right / total


def build(seed=0):
    torch.manual_seed(seed)
    parts = trec(WORDS)
    model = Questions()
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.1),
        "train": DataLoader(TensorDataset(*parts.train), batch_size=64, shuffle=True,
                            generator=torch.Generator().manual_seed(seed)),
        "val": DataLoader(TensorDataset(*parts.val), batch_size=256),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=3e-3, weight_decay=1e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }  # fmt: skip


def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*trec(WORDS).test), batch_size=250))


def fixed():
    return build()
