"""Tabular Transformer (one token per column and a class token) on scanned digits reduced to 16 measures.

Bug: the backbone is frozen, as the fine-tuning script it was copied from does, but it was never pretrained."""

import torch
from sklearn.datasets import load_digits
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "frozen-parameters"
ALSO = ()
HIGHER = "truth"


def measures():
    """Means over 2 by 2 pixels, 16 columns."""
    pictures, y = load_digits(return_X_y=True)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(9))
    x = torch.tensor(pictures, dtype=torch.float32).reshape(-1, 4, 2, 4, 2).mean((2, 4)).flatten(1)[order]
    y = torch.tensor(y)[order]
    x = (x - x[:1000].mean(0)) / x[:1000].std(0).clamp_min(0.1)
    return (x[:1000], y[:1000]), (x[1000:1250], y[1000:1250]), (x[1250:], y[1250:])


class TabTransformer(nn.Module):
    def __init__(self, columns=16, dim=24, classes=10):
        super().__init__()
        self.scale = nn.Parameter(torch.randn(columns, dim) * 0.3)
        self.shift = nn.Parameter(torch.randn(columns, dim) * 0.3)
        self.cls = nn.Parameter(torch.randn(1, 1, dim) * 0.3)
        layer = nn.TransformerEncoderLayer(dim, 4, 48, dropout=0.0, batch_first=True, norm_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.head = nn.Sequential(nn.LayerNorm(dim), nn.Linear(dim, classes))

    def forward(self, x):
        tokens = x[..., None] * self.scale + self.shift
        tokens = torch.cat([self.cls.expand(len(x), -1, -1), tokens], 1)
        return self.head(self.encoder(tokens)[:, 0])


def freeze_backbone(model):
    for name, parameter in model.named_parameters():
        parameter.requires_grad = name.startswith("head")


def step(model, batch, optimizer):
    model.train()
    x, y = batch
    optimizer.zero_grad(set_to_none=True)
    loss = nn.functional.cross_entropy(model(x), y, label_smoothing=0.05)
    loss.backward()
    nn.utils.clip_grad_norm_(model.parameters(), 5.0)
    optimizer.step()
    return loss


def accuracy(model, loader):
    model.eval()
    with torch.inference_mode():
        return sum(int((model(x).argmax(-1) == y).sum()) for x, y in loader) / len(loader.dataset)


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = measures()
    model = TabTransformer()
    if buggy:
        freeze_backbone(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    return {
        "model": model,
        "loss": nn.CrossEntropyLoss(label_smoothing=0.05),
        "train": DataLoader(TensorDataset(*train), batch_size=25, shuffle=True),
        "val": DataLoader(TensorDataset(*val), batch_size=125),
        "optimizer": torch.optim.AdamW(trained, lr=3e-3, weight_decay=0.01),
        "train_step": step,
        "evaluate": accuracy,
        "epochs": 10,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    return accuracy(model, DataLoader(TensorDataset(*measures()[2]), batch_size=200))
