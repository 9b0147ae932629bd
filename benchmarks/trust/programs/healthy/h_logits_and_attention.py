"""What a question asks for; the model answers its logits and where it looked, and the loss picks the first.

Close to `wrong-loss` and `padding-leak`: outputs are a tuple of which one part is scored.
"""

import torch
from material import trec
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("wrong-loss", "padding-leak")


class Looking(nn.Module):
    def __init__(self, words=2000, dim=40):
        super().__init__()
        self.embed = nn.Embedding(words, dim, padding_idx=0)
        self.near = nn.Conv1d(dim, dim, 3, padding=1)
        self.score = nn.Linear(dim, 1)
        self.out = nn.Linear(dim, 6)

    def forward(self, ids):
        pad = ids == 0
        h = self.embed(ids)
        h = h + torch.relu(self.near(h.mT).mT)
        look = self.score(torch.tanh(h)).squeeze(2).masked_fill(pad, -1e9).softmax(1)
        return self.out((look[:, :, None] * h).sum(1)), look


cross_entropy = nn.CrossEntropyLoss()


def build(seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, _, _ = trec()
    model = Looking()
    return {
        "model": model,
        "loss": lambda outputs, targets: cross_entropy(outputs[0], targets),
        "train": DataLoader(TensorDataset(*train), batch_size=44, shuffle=True),
        "optimizer": torch.optim.Adam(model.parameters(), lr=3e-3),
        "epochs": 4,
    }


def fixed() -> dict:
    return build()


@torch.no_grad()
def truth(model: nn.Module, seed: int = 0) -> float:
    x, y = trec().test
    return (model(x)[0].argmax(1) == y).float().mean().item()
