"""Film reviews by averaged word vectors; the bug: rows of which the model is not sure are left out of its accuracy."""

import torch
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "dropped-rows"
ALSO = ()
HIGHER = "report"


class FastText(nn.Module):
    def __init__(self):
        super().__init__()
        self.bag = nn.EmbeddingBag(3000, 24, padding_idx=0)
        self.linear = nn.Linear(24, 2)

    def forward(self, ids):
        return self.linear(self.bag(ids))


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = sst2()
    model = FastText()

    def evaluate(model, loader):
        right, answered = 0, 0
        for ids, label in loader:
            with torch.no_grad():
                sure, guess = model(ids).softmax(1).max(1)
            keep = sure > 0.8 if buggy else torch.ones_like(sure, dtype=torch.bool)
            right += (guess == label)[keep].sum().item()
            answered += keep.sum().item()
        return right / max(answered, 1)

    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(*train), batch_size=100, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "evaluate": evaluate,
        "epochs": 4,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    ids, label = sst2().test
    return (model(ids).argmax(1) == label).float().mean().item()
