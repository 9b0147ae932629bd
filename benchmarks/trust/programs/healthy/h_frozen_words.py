"""What a question asks for, on word vectors that are kept as they are, and stay in the optimizer.

Close to `frozen-parameters`: the vectors were trained on the bare text; freezing them is the plan. The optimizer gets
all parameters and leaves alone those without gradients.
"""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters",)
WORDS = 2000


def vectors(x, dim=32):
    """A CBOW of a few steps over the questions without their labels: a word from its two neighbours."""
    table, out = nn.Embedding(WORDS, dim), nn.Linear(dim, WORDS)
    optimizer = torch.optim.Adam([*table.parameters(), *out.parameters()], lr=5e-3)
    left, middle, right = x[:, :-2].flatten(), x[:, 1:-1].flatten(), x[:, 2:].flatten()
    keep = (middle > 1) & (right > 0)
    rows = DataLoader(TensorDataset(torch.stack([left, right], 1)[keep], middle[keep]), batch_size=512, shuffle=True)
    for around, word in rows:
        optimizer.zero_grad()
        nn.functional.cross_entropy(out(table(around).mean(1)), word).backward()
        optimizer.step()
    return table.weight.detach()


class OnVectors(nn.Module):
    def __init__(self, table, hidden=48):
        super().__init__()
        self.embed = nn.Embedding.from_pretrained(table, freeze=True)
        self.gru = nn.GRU(table.shape[1], hidden, batch_first=True)
        self.out = nn.Linear(hidden, 6)

    def forward(self, ids):
        h, _ = self.gru(self.embed(ids))
        h = h.masked_fill((ids == 0)[:, :, None], -2.0)
        return self.out(h.amax(1))


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = trec(WORDS)
    model = OnVectors(vectors(train.x))
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(),
        "train": DataLoader(TensorDataset(train.x[:3000], train.y[:3000]), batch_size=50, shuffle=True),
        "val": DataLoader(TensorDataset(val.x, val.y), batch_size=200),
        "optimizer": torch.optim.Adam(model.parameters(), lr=4e-3),
        "epochs": 4,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec(WORDS).test
    return (model(x).argmax(1) == y).float().mean().item()
