"""Shakespeare's next character by a GRU whose output layer is its embedding, transposed.

Close to `unregistered-parameters` and `optimizer-missing-parameters`: one matrix stands in two places, once in
`parameters()`.
"""

import torch
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("unregistered-parameters", "optimizer-missing-parameters")


class Tied(nn.Module):
    def __init__(self, dim=64):
        super().__init__()
        self.embed = nn.Embedding(65, dim)
        self.rnn = nn.GRU(dim, dim, batch_first=True)
        self.out = nn.Linear(dim, 65)
        self.out.weight = self.embed.weight
        nn.init.normal_(self.embed.weight, std=0.1)

    def forward(self, ids):  # (B, T) -> (B, T, 65)
        return self.out(self.rnn(self.embed(ids))[0])


def windows(text, length=32):
    rows = (len(text) - 1) // length
    return TensorDataset(text[: rows * length].reshape(rows, length), text[1 : rows * length + 1].reshape(rows, length))


def loss(logits, targets):
    return nn.functional.cross_entropy(logits.flatten(0, 1), targets.flatten())


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = shakespeare(60_000)
    model = Tied()
    return {
        "model": model,
        "loss": loss,
        "train": DataLoader(windows(train), batch_size=32, shuffle=True),
        "val": DataLoader(windows(val), batch_size=64),
        "optimizer": torch.optim.Adam(model.parameters(), lr=5e-3),
        "epochs": 4,
        "causal": True,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = windows(shakespeare(60_000)[2]).tensors
    return (model.eval()(x).argmax(2) == y).float().mean().item()
