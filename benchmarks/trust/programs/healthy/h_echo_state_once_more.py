"""Forecasts a chaotic series (Mackey-Glass) with an echo state network: a fixed random reservoir, a trained readout.

Near: most weights are never trained and the optimizer has but the readout; that is the method (the reservoir is scaled
to forget, and lies in buffers)."""

import torch
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

BUG = None
NEAR = ("frozen-parameters", "optimizer-missing-parameters", "gradient-cut", "dead-units")
SEEN, AHEAD = 60, 6


def mackey_glass(count, seed):
    """A series of about zero mean and unit spread, begun at random and read once it has settled."""
    generator = torch.Generator().manual_seed(seed)
    past = [1.2 + 0.2 * float(torch.rand((), generator=generator)) for _ in range(18)]
    for _ in range(count + 300):
        late = past[-18]
        past.append(past[-1] + 0.2 * late / (1 + late**10) - 0.1 * past[-1])
    return (torch.tensor(past[-count:]) - 0.92) / 0.23


def windows(series):
    """The last SEEN values (N, SEEN, 1), a row every three steps, and the value AHEAD steps after them (N, 1)."""
    cut = series.unfold(0, SEEN + AHEAD, 3)
    return TensorDataset(cut[:, :SEEN, None].clone(), cut[:, -1:].clone())


class EchoState(nn.Module):
    def __init__(self, width=200, radius=0.9):
        super().__init__()
        inner = torch.randn(width, width) * (torch.rand(width, width) < 0.1)
        self.register_buffer("inner", inner * radius / torch.linalg.eigvals(inner).abs().max())
        self.register_buffer("outer", torch.rand(1, width) - 0.5)
        self.register_buffer("bias", 0.4 * (torch.rand(width) - 0.5))
        self.readout = nn.Linear(width, 1)

    def forward(self, x):
        state = x.new_zeros(len(x), len(self.bias))
        for value in x.unbind(1):
            state = torch.tanh(value @ self.outer + state @ self.inner + self.bias)
        return self.readout(state)


def fit(model, loader):
    """R² over all rows."""
    model.eval()
    with torch.no_grad():
        out, y = (torch.cat(part) for part in zip(*[(model(x), y) for x, y in loader], strict=True))
    return 1 - ((out - y) ** 2).sum().item() / ((y - y.mean()) ** 2).sum().item()


def build(seed=0):
    torch.manual_seed(seed)
    model = EchoState()
    return {
        "model": model,
        "loss": nn.MSELoss(),
        "train": DataLoader(windows(mackey_glass(4500, 1)), 50, shuffle=True),
        "val": DataLoader(windows(mackey_glass(1500, 2)), 250),
        "optimizer": torch.optim.Adam(model.readout.parameters(), lr=1e-2),
        "evaluate": fit,
        "epochs": 25,
    }


def truth(model, seed=0):
    return fit(model, DataLoader(windows(mackey_glass(3000, 3)), 250))


def fixed():
    return build()
