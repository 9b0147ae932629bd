"""What kind of answer a question of TREC asks for, 47 fine kinds, by a CNN over words with three widths.

Bug: the network ends in Softmax where NLLLoss wants the logarithm of the probabilities."""

import os
import re
from collections import Counter
from functools import cache
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "loss-input"
ALSO = ()
HIGHER = "truth"
HERE = Path(os.environ.get("SNOWBALL_SHARED", Path(__file__).resolve().parents[3].parent / "shared" / "data")) / "trec"
LENGTH, TRAIN, PAD, UNKNOWN = 18, 4400, 0, 1


@cache
def questions():
    """Ids (N, LENGTH) and kinds of the training file in a drawn order, and of the test file; words seen twice."""
    known, unseen = ((HERE / name).read_text("latin-1").splitlines() for name in ("train_5500.label", "TREC_10.label"))
    order = torch.randperm(len(known), generator=torch.Generator().manual_seed(0)).tolist()
    known = [known[row] for row in order]
    texts = [[re.findall(r"\w+|[^\w\s]", line.split(" ", 1)[1].lower()) for line in part] for part in (known, unseen)]
    counted = Counter(word for text in texts[0][:TRAIN] for word in text)
    ids = {word: number for number, word in enumerate((w for w, n in counted.items() if n > 1), start=2)}
    names = sorted({line.split(" ", 1)[0] for line in known})
    parts = []
    for lines, words in zip((known, unseen), texts, strict=True):
        x = torch.full((len(lines), LENGTH), PAD)
        for row, text in enumerate(words):
            found = [ids.get(word, UNKNOWN) for word in text[:LENGTH]]
            x[row, : len(found)] = torch.tensor(found)
        parts.append((x, torch.tensor([names.index(line.split(" ", 1)[0]) for line in lines])))
    return len(ids) + 2, len(names), parts


class WordCNN(nn.Module):
    def __init__(self, words, kinds, last):
        super().__init__()
        self.embed = nn.Embedding(words, 64, padding_idx=PAD)
        self.filters = nn.ModuleList(nn.Conv1d(64, 48, width, padding=width // 2) for width in (1, 3, 5))
        self.head = nn.Sequential(nn.Dropout(0.3), nn.Linear(3 * 48, kinds), last)

    def forward(self, ids):
        h = self.embed(ids).transpose(1, 2)
        return self.head(torch.cat([torch.relu(f(h)).amax(2) for f in self.filters], 1))


def build(buggy, seed=0):
    torch.manual_seed(seed)
    words, kinds, ((x, y), _) = questions()
    model = WordCNN(words, kinds, nn.Softmax(1) if buggy else nn.LogSoftmax(1))
    return {
        "model": model,
        "loss": nn.NLLLoss(),
        "train": DataLoader(
            TensorDataset(x[:TRAIN], y[:TRAIN]), 64, shuffle=True, generator=torch.Generator().manual_seed(seed)
        ),
        "val": DataLoader(TensorDataset(x[TRAIN:], y[TRAIN:]), 256),
        "optimizer": torch.optim.Adam(model.parameters(), lr=2e-3),
        "evaluate": accuracy,
        "epochs": 8,
    }


@torch.no_grad()
def accuracy(model, loader):
    model.eval()
    hits = torch.cat([model(x).argmax(1) == y for x, y in loader])
    return hits.float().mean().item()


def truth(model, seed=0):
    return accuracy(model, [questions()[2][1]])


def setup():
    return build(True)


def fixed():
    return build(False)
