"""Finds the German sentence that says what an English one says: two encoders, one space, in-batch negatives (InfoNCE)."""

import torch
import torch.nn as nn
import torch.nn.functional as F
from material import multi30k
from torch.utils.data import DataLoader, Dataset

BUG = "metric-wrong"
ALSO = ("metric-averaging",)
HIGHER = "report"

N_VAL = 320


class Bitext(Dataset):
    def __init__(self, rows, n):
        self.en, self.de = rows.x[:n], rows.y[:n]

    def __len__(self):
        return len(self.en)

    def __getitem__(self, i):
        return {"en": self.en[i], "de": self.de[i]}, 1.0


class Tower(nn.Module):
    """Attentive pooling over the words."""

    def __init__(self, words, dim, out):
        super().__init__()
        self.embedding = nn.Embedding(words, dim, padding_idx=0)
        self.weight = nn.Linear(dim, 1)
        self.project = nn.Sequential(nn.Dropout(0.1), nn.Linear(dim, out), nn.GELU(), nn.Linear(out, out))

    def forward(self, ids):
        e = self.embedding(ids)
        w = self.weight(e).masked_fill((ids == 0)[..., None], -1e4).softmax(1)
        return F.normalize(self.project((w * e).sum(1)), dim=-1)


class DualEncoder(nn.Module):
    def __init__(self, words=1000, dim=64, out=64):
        super().__init__()
        self.tower_en, self.tower_de = Tower(words, dim, out), Tower(words, dim, out)
        self.log_scale = nn.Parameter(torch.tensor(2.3))

    def forward(self, en, de):
        return self.tower_en(en), self.tower_de(de), self.log_scale.exp().clamp(max=50)


def info_nce(outputs, _targets):
    a, b, scale = outputs
    logits = scale * a @ b.T
    own = torch.arange(len(a))
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2


def recall_at_1(a, b):
    return ((a @ b.T).argmax(1) == torch.arange(len(a))).float()


@torch.no_grad()
def retrieval(model, loader):
    model.eval()
    a, b = [], []
    for inputs, _ in loader:
        x, y, _ = model(**inputs)
        a.append(x)
        b.append(y)
    return recall_at_1(torch.cat(a), torch.cat(b)).mean().item()


@torch.no_grad()
def retrieval_by_batch(model, loader):
    model.eval()
    hits = []
    for inputs, _ in loader:
        x, y, _ = model(**inputs)
        hits.append(recall_at_1(x, y))
    return torch.cat(hits).mean().item()


def build(buggy, seed=0):
    torch.manual_seed(seed)
    data = multi30k(4000)
    model = DualEncoder()
    return {
        "model": model,
        "loss": info_nce,
        "train": DataLoader(Bitext(data.train, 4000), batch_size=64, shuffle=True, drop_last=True),
        "val": DataLoader(Bitext(data.val, N_VAL), batch_size=64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": retrieval_by_batch if buggy else retrieval,
        "epochs": 8,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    """Among as many candidates as in the validation rows."""
    return retrieval(model, DataLoader(Bitext(multi30k(4000).test, N_VAL), batch_size=64))
