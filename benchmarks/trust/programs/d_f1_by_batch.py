"""Does a question ask for an abbreviation? The bug: F1 is averaged over batches, and is 1 where a batch has none."""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "metric-averaging"
ALSO = ()
HIGHER = "report"


def f1(guess, y):
    hits = (guess & y).sum().item()
    wrong = (guess ^ y).sum().item()
    return 2 * hits / (2 * hits + wrong) if hits + wrong else 1.0


class Attention(nn.Module):
    """The mean of word vectors, weighed by how much each word tells."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(2000, 32, padding_idx=0)
        self.score = nn.Linear(32, 1)
        self.out = nn.Linear(32, 1)

    def forward(self, ids):
        x = self.embed(ids)
        weights = self.score(x).squeeze(2).masked_fill(ids == 0, -torch.inf).softmax(1)
        return self.out((weights.unsqueeze(2) * x).sum(1)).squeeze(1)


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec()
    model = Attention()

    @torch.no_grad()
    def evaluate(model, loader):
        pairs = [(model(x) > 0, y > 0.5) for x, y in loader]
        if buggy:
            return sum(f1(guess, y) for guess, y in pairs) / len(pairs)
        return f1(torch.cat([guess for guess, _ in pairs]), torch.cat([y for _, y in pairs]))

    return {
        "model": model,
        "loss": nn.BCEWithLogitsLoss(pos_weight=torch.tensor(8.0)),
        "train": DataLoader(TensorDataset(train.x, (train.y == 0).float()), batch_size=100, shuffle=True),
        "val": DataLoader(TensorDataset(val.x, (val.y == 0).float()), batch_size=32),
        "optimizer": torch.optim.Adam(model.parameters(), lr=1e-2),
        "evaluate": evaluate,
        "epochs": 12,
    }


def setup() -> dict:
    return build(True)


def fixed() -> dict:
    return build(False)


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    return f1(model(x) > 0, y == 0)
