"""Which digit a caller says, from log-spectrum frames, with a small Transformer over the frames."""

import torch
from material import fsdd
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "batch-mixing"
ALSO = ()
HIGHER = "truth"


class FrameTransformer(nn.Module):
    def __init__(self, bands: int = 43, frames: int = 32, dim: int = 48, layers: int = 2, **layer_options) -> None:
        super().__init__()
        self.project = nn.Linear(bands, dim)
        self.place = nn.Parameter(torch.randn(1, frames, dim) * 0.02)
        layer = nn.TransformerEncoderLayer(dim, 4, 96, dropout=0.1, norm_first=True, **layer_options)
        self.encoder = nn.TransformerEncoder(layer, layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(dim)
        self.head = nn.Linear(dim, 10)

    def forward(self, x: Tensor) -> Tensor:
        h = self.project(x) + self.place
        h = self.encoder(h)
        return self.head(self.norm(h).mean(dim=1))


def tensors():
    parts = fsdd()
    mean, std = parts.train.x.mean((0, 1)), parts.train.x.std((0, 1))
    return [TensorDataset((rows.x - mean) / std, rows.y) for rows in parts]


@torch.no_grad()
def accuracy(model: nn.Module, loader) -> float:
    model.eval()
    right = total = 0
    for x, y in loader:
        right += int((model(x).argmax(-1) == y).sum())
        total += len(y)
    return right / total


def build(buggy: bool, seed: int = 0) -> dict:
    torch.manual_seed(seed)
    train, val, _ = tensors()
    model = FrameTransformer() if buggy else FrameTransformer(batch_first=True)
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(train, batch_size=32, shuffle=True),
        "val": DataLoader(val, batch_size=64),
        "optimizer": torch.optim.AdamW(model.parameters(), lr=1.5e-3, weight_decay=0.01),
        "evaluate": accuracy,
        "epochs": 14,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


def truth(model, seed=0):
    return accuracy(model, DataLoader(tensors()[2], batch_size=64))
