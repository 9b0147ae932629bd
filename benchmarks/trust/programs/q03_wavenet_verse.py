"""Next character of Shakespeare by gated dilated convolutions (a little WaveNet)."""

import torch
import torch.nn.functional as F
from material import shakespeare
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = "time-leak"
ALSO = ()
HIGHER = "truth"

V, T = 65, 64


class Shifted(nn.Conv1d):
    """Convolution over what came before."""

    def __init__(self, cin, cout, k, dilation=1):
        super().__init__(cin, cout, k, dilation=dilation)
        self.before = (k - 1) * dilation

    def forward(self, x):
        return super().forward(F.pad(x, (self.before, 0)))


class Gated(nn.Module):
    def __init__(self, width, dilation, gate):
        super().__init__()
        self.filter = Shifted(width, width, 3, dilation)
        self.gate = gate
        self.mix = nn.Conv1d(width, width, 1)
        self.skip = nn.Conv1d(width, width, 1)

    def forward(self, x):
        h = torch.tanh(self.filter(x)) * torch.sigmoid(self.gate(x))
        return x + self.mix(h), self.skip(h)


class WaveNet(nn.Module):
    def __init__(self, width=48, dilations=(1, 2, 4, 8), padded_gates=False):
        super().__init__()
        self.embed = nn.Embedding(V, width)
        self.blocks = nn.ModuleList()
        for d in dilations:
            if padded_gates:
                gate = nn.Conv1d(width, width, 3, padding="same", dilation=d)
            else:
                gate = Shifted(width, width, 3, d)
            self.blocks.append(Gated(width, d, gate))
        self.top = nn.Sequential(nn.ReLU(), nn.Conv1d(width, width, 1), nn.ReLU(), nn.Conv1d(width, V, 1))

    def forward(self, ids):
        x, total = self.embed(ids).transpose(1, 2), 0
        for b in self.blocks:
            x, s = b(x)
            total = total + s
        return self.top(total).transpose(1, 2)


def windows(text, stride=T):
    chunks = text.unfold(0, T + 1, stride)
    return TensorDataset(chunks[:, :-1].clone(), chunks[:, 1:].clone())


def nll(logits, y):
    return F.cross_entropy(logits.reshape(-1, V), y.reshape(-1))


def accuracy(model, loader):
    model.eval()
    hits = n = 0
    with torch.no_grad():
        for x, y in loader:
            hits += (model(x).argmax(-1) == y).sum().item()
            n += y.numel()
    return hits / n


def build(buggy, seed=0):
    torch.manual_seed(seed)
    train, val, _ = shakespeare(80_000, 8_000, 16_000)
    model = WaveNet(padded_gates=buggy)
    return {
        "model": model,
        "loss": nll,
        "train": DataLoader(windows(train), 32, shuffle=True),
        "val": DataLoader(windows(val), 64),
        "optimizer": torch.optim.Adam(model.parameters(), 4e-3),
        "evaluate": accuracy,
        "causal": True,
        "epochs": 6,
    }


def setup():
    return build(True)


def fixed():
    return build(False)


@torch.no_grad()
def truth(model, seed=0):
    """As one writes: the next character after a window, of which nothing else is known."""
    _, _, text = shakespeare(80_000, 8_000, 16_000)
    model.eval()
    x = text.unfold(0, T + 1, 8)
    return sum((model(part[:, :-1])[:, -1].argmax(-1) == part[:, -1]).sum().item() for part in x.split(256)) / len(x)
