"""Is a phrase of a review kind? A bag of words with sparse gradients.

Close to `dead-units` and `frozen-parameters`: of 6,000 rows of the embedding a batch touches some hundreds, and some
are never touched at all.
"""

import torch
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("dead-units", "frozen-parameters")


class Bag(nn.Module):
    def __init__(self, words=6000, dim=24):
        super().__init__()
        self.bag = nn.EmbeddingBag(words, dim, mode="mean", sparse=True, padding_idx=0)
        self.out = nn.Linear(dim, 2)

    def forward(self, ids):
        return self.out(self.bag(ids))


class Both:
    """One step of a sparse optimizer and of a dense one."""

    def __init__(self, model):
        self.sparse = torch.optim.SparseAdam(model.bag.parameters(), lr=1e-2)
        self.loss = nn.CrossEntropyLoss()

    def __call__(self, model, batch, optimizer):
        ids, labels = batch
        optimizer.zero_grad()
        self.sparse.zero_grad()
        loss = self.loss(model(ids), labels)
        loss.backward()
        optimizer.step()
        self.sparse.step()
        return loss


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x, r.y) for r in sst2(words=6000))
    model = Bag()
    step = Both(model)
    return {
        "model": model,
        "loss": step.loss,
        "train": DataLoader(train, batch_size=64, shuffle=True),
        "val": DataLoader(val, batch_size=128),
        "optimizer": torch.optim.Adam(model.out.parameters(), lr=1e-2),
        "train_step": step,
        "epochs": 5,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = sst2(words=6000).test
    return (model(x).argmax(1) == y).float().mean().item()
