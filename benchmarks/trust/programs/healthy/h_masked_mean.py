"""Is a phrase of a review kind? Words attend to words, padding is masked in the attention and in the mean.

Close to `padding-leak`: rows are padded to one length, and what stands in the padding is never seen.
"""

import torch
from material import sst2
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("padding-leak",)


class Critic(nn.Module):
    def __init__(self, words=3000, dim=32):
        super().__init__()
        self.words = nn.Embedding(words, dim)
        self.query = nn.Linear(dim, dim)
        self.value = nn.Linear(dim, dim)
        self.drop = nn.Dropout(0.3)
        self.out = nn.Linear(dim, 1)

    def forward(self, ids, mask):  # (B, T), True where there is a word
        h = self.drop(self.words(ids))
        scores = self.query(h) @ h.transpose(1, 2) / h.shape[2] ** 0.5
        weights = scores.masked_fill(~mask[:, None], float("-inf")).softmax(2)
        h = torch.relu(h + weights @ self.value(h)) * mask[:, :, None]
        return self.out(h.sum(1) / mask.sum(1, keepdim=True)).squeeze(1)


def collate(rows):
    """Cuts a batch to its longest row."""
    ids, labels = (torch.stack(side) for side in zip(*rows, strict=True))
    ids = ids[:, : int((ids != 0).sum(1).max())]
    return {"ids": ids, "mask": ids != 0}, labels.float()


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = (TensorDataset(r.x, r.y) for r in sst2())
    model = Critic()
    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(),
        "train": DataLoader(train, batch_size=64, shuffle=True, collate_fn=collate),
        "val": DataLoader(val, batch_size=128, collate_fn=collate),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 5,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = sst2().test
    model.eval()
    return ((model(x, x != 0) > 0) == (y == 1)).float().mean().item()
